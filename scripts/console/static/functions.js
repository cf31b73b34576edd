// Functions: test one, see how it did, follow its log.
import { ask, get, part } from "./api.js";
import { chart } from "./chart.js";
import { byId, choice, clock, el, isOpen, number, repeat, say, trying } from "./dom.js";
import { PROCESS } from "./pipeline.js";

const OWN = "My own";
const TITLES = {
  Invocations: "Invocations", Errors: "Errors",
  Duration: "Duration, average in ms", IteratorAge: "IteratorAge, maximum in ms",
};
const LATE_MS = 10_000; // a line may arrive after younger ones
const LINES = 300;

/** The test event to begin with. */
const FIRST = { [PROCESS]: "stream" };

let chosen = "";

/** @param {string[]} functions @param {string[]} events */
export function setUpFunctions(functions, events) {
  if (functions.length && !functions.includes(chosen)) {
    byId("test-name").replaceChildren(...events.map((name) => el("option", {}, name)), el("option", {}, OWN));
    const inOrder = functions.toSorted((a, b) => Number(b === PROCESS) - Number(a === PROCESS));
    choice(byId("function-choice"), inOrder, choose);
    choose(inOrder[0]);
  }
}

/** @param {string} name */
function choose(name) {
  chosen = name;
  byId("test-result").replaceChildren();
  if (byId("test-name").value !== OWN) {
    byId("test-name").value = FIRST[name] ?? "score";
    loadEvent();
  }
  restartLog();
  drawCharts();
}

// Test

async function loadEvent() {
  const name = byId("test-name").value;
  if (name === OWN) return byId("test-event").focus();
  await trying(byId("test-error"), async () => {
    const { event } = await get(`events/${part(name)}`);
    if (byId("test-name").value !== name) return; // meanwhile another was chosen, or written
    byId("test-event").value = event;
    checkEvent();
  });
}

/** What is wrong with a text as JSON; "" for nothing. Not every browser tells where: the server does. @param {string} text */
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

/** Show an error in the event, and put the cursor there. @param {string} message @param {number} line @param {number} column */
function pointAt(message, line, column) {
  const area = byId("test-event"), lines = area.value.split("\n");
  const at = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0) + column - 1;
  area.setAttribute("aria-invalid", "true");
  say(byId("test-error"), message);
  area.focus();
  area.setSelectionRange(at, Math.min(at + 1, area.value.length));
}

async function test() {
  const event = byId("test-event").value;
  checkEvent();
  const button = byId("test").querySelector("button"), result = byId("test-result");
  result.replaceChildren(el("p", { className: "quiet" }, `Asking ${chosen} ...`));
  await trying(byId("test-error"), async () => {
    try {
      showExecution(await ask("POST", `functions/${part(chosen)}/test`, { event }));
    } catch (error) {
      result.replaceChildren();
      const { message, line, column } = /** @type {any} */ (error);
      if (!line) throw error;
      pointAt(message, line, column);
      throw new Error(byId("test-error").textContent);
    }
  }, button);
}

/** @param {any} execution see scripts/traffic/invoke.py */
function showExecution(execution) {
  const { report } = execution;
  const facts = {
    Duration: report ? `${number(report.duration_ms, 1)} ms` : `${number(execution.round_trip_ms, 1)} ms, there and back`,
    "Billed duration": report ? `${number(report.billed_ms)} ms` : "not told by the local cloud",
    "Memory configured": `${execution.memory_mb} MB`,
    "Memory used": report ? `${report.memory_used_mb} MB` : "not told by the local cloud",
  };
  byId("test-result").replaceChildren(
    el("p", { className: `outcome ${execution.error ? "bad" : "good"}` },
      execution.error ? `! Failed: ${execution.error}` : "✓ Succeeded"),
    el("dl", { className: "facts" }, ...Object.entries(facts).flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)])),
    el("h4", {}, "Response"),
    el("pre", { tabIndex: 0 }, JSON.stringify(execution.response, null, 2)),
    el("h4", {}, "Log output"),
    el("pre", { tabIndex: 0 }, execution.log.trimEnd() || "Nothing."),
  );
  byId("test-result").focus();
}

// Monitoring

async function drawCharts() {
  if (!chosen || !isOpen("functions")) return;
  const wanted = chosen;
  await trying(byId("charts-error"), async () => {
    const { series, start, end, period } = await get(`functions/${part(wanted)}/metrics`, { since: byId("range").value });
    if (wanted !== chosen || byId("charts").querySelector("details[open]")) return;
    byId("charts").replaceChildren(...Object.entries(series).map(([metric, points]) => chart(TITLES[metric] ?? metric, points, start, end, period)));
  });
}

// Log

let since = "5m", seen = new Map(), filter = "";

function restartLog() {
  since = "5m";
  seen = new Map();
  byId("log").replaceChildren();
}

/** Lines that an earlier, overlapping look did not have: the same may be logged twice. @param {any[]} lines */
function fresh(lines) {
  const now = new Map();
  const found = lines.filter((line) => {
    const key = `${line.at} ${line.stream} ${line.message}`;
    now.set(key, (now.get(key) ?? 0) + 1);
    return now.get(key) > (seen.get(key) ?? 0);
  });
  seen = now;
  return found;
}

async function followLog() {
  if (!byId("log-follow").checked || !chosen) return;
  const wanted = chosen, asked = filter, before = Date.now();
  await trying(byId("log-note"), async () => {
    const { lines, left_out } = await get(`functions/${part(wanted)}/log`, { since, filter: asked });
    if (wanted !== chosen || asked !== filter) return;
    since = new Date(before - LATE_MS).toISOString();
    const log = byId("log");
    log.prepend(...fresh(lines).reverse().map(lineOf));
    while (log.childElementCount > LINES) log.lastElementChild.remove();
    if (left_out) log.prepend(el("li", { className: "quiet" }, `${number(left_out)} more lines were left out: narrow the filter, or use make logs`));
  });
}

/** @param {any} line */
function lineOf(line) {
  let level = "", text = line.message;
  try {
    const fields = JSON.parse(line.message);
    if (typeof fields.message === "string") [level, text] = [fields.level ?? "", fields.message];
    if (fields.reasons) text += ` ${JSON.stringify(fields.reasons)}`;
  } catch {
    // a line that is text
  }
  return el("li", { className: `level-${level.toLowerCase()}` }, el("time", {}, clock(line.at / 1000)), ` ${level} ${text}`);
}

byId("test-name").addEventListener("change", loadEvent);
byId("test-event").addEventListener("input", () => {
  byId("test-name").value = OWN;
  byId("test-event").removeAttribute("aria-invalid");
  say(byId("test-error"), "");
});
byId("test-event").addEventListener("blur", checkEvent);
byId("test").addEventListener("submit", (/** @type {Event} */ event) => (event.preventDefault(), test()));
byId("range").addEventListener("change", drawCharts);
byId("log-form").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
byId("log-filter").addEventListener("input", () => {
  filter = byId("log-filter").value;
  restartLog();
});
repeat(drawCharts, 15, () => isOpen("functions"));
repeat(followLog, 2, () => isOpen("functions"));
document.addEventListener("opened", drawCharts);
