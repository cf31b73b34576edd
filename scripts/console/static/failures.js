// Failures: what failed for good, in groups and one by one, and redriving it.
import { ask, get } from "./api.js";
import {
  announce, byId, confirmed, count, el, keepingFocus, moment, number, numberCell, onOpen, opener, row, say, table,
  trying,
} from "./dom.js";
import { untilOver } from "./job.js";

const MOST_SELECTED = 1000, COLUMNS = 8;

let writes = false, from = 0, next = 0;
/** @type {{function: string, reason: string}|null} the group that alone is shown; "" is a function that is not known */
let chosenGroup = null;
/** @type {any[]} the failures that are shown */
let shown = [];
/** @type {Map<string, number>} the records of each that is selected, shown or not, by key */
const selected = new Map();
/** @type {Map<string, {outcome: string, reason: string}>} what became of those that were redriven, by key */
const outcomes = new Map();

/** @param {boolean} allowed @param {Record<string, {name: string}>} functions */
export function setUpFailures(allowed, functions) {
  writes = allowed;
  const select = byId("failure-function"), before = select.value;
  select.replaceChildren(el("option", { value: "" }, "every function"),
    ...Object.entries(functions).map(([lab, { name }]) => el("option", { value: name }, lab)));
  select.value = before || "";
}

/** Load from the newest on, or the page after what is shown. @param {boolean} [more] */
async function load(more = false) {
  await trying(byId("failures-error"), async () => {
    from = more ? next : 0;
    let answer = await ofBucket();
    if (chosenGroup && !answer.groups.some(isChosen)) {
      chosenGroup = null; // its last failure is gone, and so is the button that would show the others
      answer = await ofBucket();
    }
    shown = more ? [...shown, ...answer.failures] : answer.failures;
    for (const { key, records } of shown.filter((failure) => selected.has(failure.key))) select(key, records);
    next = answer.next ?? 0;
    byId("more-failures").hidden = answer.next === null;
    const filtered = answer.matching === answer.total ? "" : `${number(answer.matching)} of `;
    const least = answer.complete ? "" : "at least ";
    const total = `${filtered}${least}${count(answer.total, "failure")}`;
    say(byId("failures-note"), answer.total ? total : "Nothing has failed.");
    showGroups(answer.groups);
    showFailures();
  }, more ? byId("more-failures") : byId("reload-failures"));
}

/** The server reads a large bucket in several steps. */
async function ofBucket() {
  const name = byId("failure-function").value;
  const query = { ...(name && { function: name }), ...chosenGroup, text: byId("failure-text").value, from };
  for (let before = Infinity; ;) {
    const answer = await get("failures", query);
    if (!answer.unread || answer.unread >= before) return answer;
    before = answer.unread;
    say(byId("failures-note"), `Reading ${count(before, "object")} more ...`);
  }
}

/** @param {any} group */
const isChosen = ({ function: name, reason }) => chosenGroup?.function === name && chosenGroup?.reason === reason;

/** @param {any} group */
const label = (group) => `${group.reason}, function ${group.function || "not known"}`;

/** @param {any[]} groups see failure_index.py */
function showGroups(groups) {
  const heads = ["Reason", "Function", { text: "Records", className: "number" }, "First", "Last", "Group"];
  const rows = groups.map((group) => row([
    el("td", { className: "data" }, group.reason), group.function || "not known", numberCell(number(group.records)),
    moment(group.first), moment(group.last),
    el("span", { className: "row" },
      el("button", {
        type: "button", "aria-pressed": String(isChosen(group)), "aria-label": `Only ${label(group)}`,
        onclick: () => {
          chosenGroup = isChosen(group) ? null : { function: group.function, reason: group.reason };
          byId("failure-function").value = "";
          load();
        },
      }, isChosen(group) ? "Show all" : "Only these"),
      el("button", {
        type: "button", disabled: !writes, "aria-label": `Redrive all: ${label(group)}`,
        onclick: () => {
          const { reason: wanted, function: name } = group;
          redrive({ group: { function: name, reason: wanted } }, group.records, name);
        },
      }, "Redrive")),
  ]));
  keepingFocus(byId("failure-groups"), () =>
    byId("failure-groups").replaceChildren(rows.length ? table("Failures by reason", heads, rows) : ""));
}

function showFailures() {
  const records = { text: "Records", className: "number" };
  const heads = ["", "", "Failed first", "Function", records, "First record", "Reason", "Outcome"];
  const rows = shown.map((failure) => {
    const ended = outcomes.get(failure.key);
    return row([
      el("input", {
        type: "checkbox", checked: selected.has(failure.key), "aria-label": `Select ${failure.key}`,
        disabled: !writes || failure.records === null || ended?.outcome === "redriven",
        onchange: (/** @type {any} */ event) => select(failure.key, event.target.checked ? failure.records : null),
      }),
      opener(`Open ${failure.key}`, COLUMNS, () => whole(failure)),
      el("td", { className: "time" }, moment(failure.at)),
      failure.function || "not known",
      numberCell(failure.records === null ? "not known" : number(failure.records)),
      el("td", { className: "data" }, el("code", {}, failure.preview)),
      el("td", { className: "data" }, failure.reason),
      el("td", { className: `outcome-cell ${ended?.outcome === "redriven" ? "good" : ended ? "bad" : ""}` },
        ended ? `${ended.outcome}${ended.reason && `: ${ended.reason}`}` : "waits"),
    ], { "data-key": failure.key });
  });
  keepingFocus(byId("failure-list"), () =>
    byId("failure-list").replaceChildren(table("Failures", heads, rows, "None match.")));
  showSelection();
}

/** @param {string} key @param {number|null} records that it has; null for what is not to be selected */
function select(key, records) {
  if (records !== null && (selected.has(key) || selected.size < MOST_SELECTED)) selected.set(key, records);
  else selected.delete(key);
  showSelection();
}

function showSelection() {
  byId("redrive-selected").disabled = !writes || !selected.size;
  say(byId("redrive-selected"), selected.size ? `Redrive ${count(selected.size, "selected")}` : "Redrive selected");
  byId("redrive-all").disabled = !writes || !shown.length;
}

/** @param {any} failure see failure_index.py */
async function whole(failure) {
  const { records, more, text, payload, cut } = await get("failures/document", { key: failure.key });
  const object = el("summary", {}, `Object${cut ? ", its first megabyte" : ""}`);
  return el("div", {},
    el("p", { className: "quiet key" }, failure.key),
    el("p", { className: "quiet" }, failure.oldest === null ? "No record says when it was written."
      : `The oldest record was written ${moment(failure.oldest)}.`),
    el("h4", {}, "Records, decoded"),
    el("ol", { className: "decoded" }, ...records.map((/** @type {any} */ record) =>
      el("li", {}, el("span", { className: "quiet" }, record.kind), el("pre", { tabIndex: 0 }, record.text)))),
    more > 0 && el("p", { className: "quiet" }, `and ${count(more, "record")} more`),
    payload && el("details", {}, el("summary", {}, "Event"), el("pre", { tabIndex: 0 }, payload)),
    el("details", {}, object, el("pre", { tabIndex: 0 }, text)));
}

/** @param {object} request see views/failures.py @param {number|null} records @param {string} [name] of the function */
async function redrive(request, records, name) {
  const what = records === null ? "everything that has failed through its function"
    : `${count(records, "record")} through ${name || "their functions"}`;
  if (!(await confirmed(`Replay ${what}?`, "Redrive"))) return;
  const result = byId("redrive");
  await trying(byId("failures-error"), async () => {
    await ask("POST", "redrive", request);
    const job = await untilOver("redrive", ({ lines }) =>
      say(result, `Redriving ... ${lines[lines.length - 1] ?? ""}`));
    for (const [key, outcome] of Object.entries(job.result.outcomes)) {
      outcomes.set(key, /** @type {any} */ (outcome));
      selected.delete(key);
    }
    const counts = Object.entries(job.result.counts).map(([outcome, objects]) => `${outcome} ${objects}`).join(", ");
    const text = counts ? `${moment(job.ended)}: objects ${counts}.` : "Nothing has failed.";
    const lines = el("pre", { tabIndex: 0 }, job.lines.join("\n"));
    const each = el("details", { hidden: !job.lines.length }, el("summary", {}, "Each"), lines);
    result.replaceChildren(el("p", {}, text), each);
    announce(text);
    showFailures(); // with their outcomes, until they are loaded again
  });
}

byId("redrive-all").addEventListener("click", () => redrive({}, null));
byId("redrive-selected").addEventListener("click", () => {
  redrive({ keys: [...selected.keys()] }, [...selected.values()].reduce((sum, records) => sum + records, 0));
});
byId("select-shown").addEventListener("click", () => {
  const all = shown.filter(({ key, records }) => records !== null && outcomes.get(key)?.outcome !== "redriven");
  const is = all.some(({ key }) => !selected.has(key));
  for (const { key, records } of all) select(key, is ? records : null);
  showFailures();
});
byId("reload-failures").addEventListener("click", () => {
  outcomes.clear();
  load();
});
byId("more-failures").addEventListener("click", () => load(true));
byId("failure-function").addEventListener("change", () => {
  chosenGroup = null;
  load();
});
byId("failure-form").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  load();
});
onOpen("failures", () => load());
