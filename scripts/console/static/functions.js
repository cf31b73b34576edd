// Functions: choose one, and test it.
import { ask, get, part } from "./api.js";
import { announce, byId, choice, count, el, number, onOpen, say, trying } from "./dom.js";
import { PROCESS } from "./pipeline.js";

const OWN = "My own";
const LONGEST_MS = 16 * 60 * 1000; // a function may take fifteen minutes

/** @type {Record<string, string>} the test event to begin with */
const FIRST = { [PROCESS]: "stream" };

/** @type {string[]} */
let functions = [];
let chosen = "";
/** @type {{events: any[], fitting: Record<string, string[]>, warning: string}|null} */
let known = null;

/** The function that is chosen; "" for none yet. */
export const chosenFunction = () => chosen;

/** @param {Record<string, any>} deployed by their names in the lab */
export function setUpFunctions(deployed) {
  const names = Object.keys(deployed);
  functions = names.toSorted((a, b) => Number(b === PROCESS) - Number(a === PROCESS));
  known = null;
  choose(functions.includes(chosen) ? chosen : functions[0] ?? "");
}

/** @param {string} name */
function choose(name) {
  const changed = name !== chosen;
  chosen = name;
  choice(byId("function-choice"), functions, chosen, choose);
  if (changed) {
    byId("test-result").replaceChildren();
    document.dispatchEvent(new CustomEvent("function-chosen"));
  }
  offerEvents(changed);
}

/** Offer the events that the function takes. @param {boolean} changed whether another function was chosen */
async function offerEvents(changed) {
  await trying(byId("test-error"), async () => {
    known ??= await get("events");
    const names = known?.fitting[chosen] ?? [], select = byId("test-name"), before = select.value;
    select.replaceChildren(...names.map((name) => el("option", {}, name)), el("option", {}, OWN));
    const first = names.includes(FIRST[chosen]) ? FIRST[chosen] : names.includes("score") ? "score" : names[0] ?? OWN;
    select.value = before === OWN ? OWN : names.includes(before) && !changed ? before : first;
    if (select.value !== OWN && (changed || !byId("test-event").value)) await fetchEvent();
    showEffect();
  });
}

async function fetchEvent() {
  const name = byId("test-name").value;
  const { event } = await get(`events/${part(name)}`);
  if (byId("test-name").value !== name) return; // meanwhile another was chosen, or written
  byId("test-event").value = event;
  checkEvent();
}

function loadEvent() {
  if (byId("test-name").value === OWN) return;
  trying(byId("test-error"), async () => {
    await fetchEvent();
    showEffect();
  });
}

/**
 * What is wrong with a text as JSON; "" for nothing. Not every browser says where: the server does.
 * @param {string} text
 */
function jsonError(text) {
  try {
    JSON.parse(text);
    return "";
  } catch (error) {
    return /** @type {Error} */ (error).message;
  }
}

function checkEvent() {
  const wrong = jsonError(byId("test-event").value);
  byId("test-event").setAttribute("aria-invalid", String(Boolean(wrong)));
  say(byId("test-error"), wrong && `Not JSON: ${wrong}`);
}

/** Say before a test what it would change. */
function showEffect() {
  /** @type {any} */
  let event = null;
  try {
    event = JSON.parse(byId("test-event").value);
  } catch {
    // said beside the event
  }
  const records = Array.isArray(event?.Records) ? event.Records : [];
  const counts = records.some((/** @type {any} */ each) => ["INSERT", "MODIFY", "REMOVE"].includes(each?.eventName));
  const stores = records.some((/** @type {any} */ each) => isScore(each?.kinesis?.data));
  const text = counts ? known?.warning ?? ""
    : stores ? "A score event in a test is stored as a record, and then counted: totals change."
      : records.length ? "This event changes no table: it holds no score." : "This event is not a batch of records.";
  say(byId("test-effect"), text);
  byId("test-effect").classList.toggle("warning", counts || stores);
}

/** @param {unknown} data of a Kinesis record */
function isScore(data) {
  try {
    const fields = JSON.parse(atob(String(data)));
    return ["RecordID", "Username", "Score"].every((name) => name in fields);
  } catch {
    return false;
  }
}

/**
 * Show an error in the event, and put the cursor there.
 * @param {string} message @param {number} line @param {number} column
 */
function pointAt(message, line, column) {
  const area = byId("test-event"), lines = area.value.split("\n");
  const at = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0) + column - 1;
  area.setAttribute("aria-invalid", "true");
  say(byId("test-error"), message);
  area.focus();
  area.setSelectionRange(at, Math.min(at + 1, area.value.length));
}

async function test() {
  const event = byId("test-event").value, wanted = chosen;
  checkEvent();
  const button = byId("test").querySelector("button"), result = byId("test-result");
  if (button.disabled) return;
  result.replaceChildren(el("p", { className: "quiet" }, `Invoking ${wanted} ...`));
  await trying(byId("test-error"), async () => {
    try {
      const execution = await ask("POST", `functions/${part(wanted)}/test`, { event }, { timeout: LONGEST_MS });
      if (wanted !== chosen) return;
      showExecution(execution);
    } catch (error) {
      result.replaceChildren();
      const { message, line, column } = /** @type {any} */ (error);
      if (!line) throw error;
      pointAt(message, line, column);
      throw new Error(byId("test-error").textContent);
    }
  }, button);
}

/**
 * What an execution means, as the event source mapping reads the response to a batch.
 * @param {any} execution see views/functions.py @returns {["good"|"bad", string]}
 */
function outcome({ error, accepted, records }) {
  if (error) return ["bad", `! Failed: ${error}`];
  if (accepted === null) {
    const all = records ? `all ${count(records, "record")}` : "the whole batch";
    return ["bad", `! Returned, but its response reports ${all} as failed: it would be delivered again`];
  }
  if (accepted < records) {
    const rest = records - accepted;
    return ["bad", `! Returned, but reports record ${accepted + 1} of ${records} as failed: `
      + `${count(rest, "record")} would be delivered again`];
  }
  return ["good", "✓ Succeeded"];
}

/** @param {any} execution see views/functions.py */
function showExecution(execution) {
  const { report } = execution, [how, text] = outcome(execution);
  const facts = {
    Duration: report ? `${number(report.duration_ms, 2)} ms` : `${number(execution.round_trip_ms, 1)} ms, round trip`,
    "Billed duration": report ? `${number(report.billed_ms)} ms` : "not known",
    "Memory configured": `${execution.memory_mb} MB`,
    "Memory used": report ? `${report.memory_used_mb} MB` : "not known",
  };
  const counted = Object.entries(execution.counted);
  const effect = counted.length
    ? counted.map(([name, value]) => `${name} ${number(/** @type {number} */ (value))}`).join(", ")
    : "not reported: no score event was processed";
  byId("test-result").replaceChildren(
    el("p", { className: `outcome ${how}` }, text),
    el("dl", { className: "facts" },
      ...Object.entries(facts).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]),
      el("dt", {}, "Counted"), el("dd", {}, effect)),
    el("h4", {}, "Response"),
    el("pre", { tabIndex: 0 }, execution.response),
    el("h4", {}, "Log output"),
    el("pre", { tabIndex: 0 }, execution.log.trimEnd() || "Nothing."),
  );
  announce(text);
}

byId("test-name").addEventListener("change", loadEvent);
byId("test-event").addEventListener("input", () => {
  byId("test-name").value = OWN;
  byId("test-event").removeAttribute("aria-invalid");
  say(byId("test-error"), "");
  showEffect();
});
byId("test-event").addEventListener("blur", checkEvent);
byId("test-event").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
  event.preventDefault();
  test();
});
byId("test").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  test();
});
onOpen("functions", (subject) => functions.includes(subject) && choose(subject));
