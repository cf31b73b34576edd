// The log of the chosen function, newest lines first.
import { get, part } from "./api.js";
import { byId, clock, el, isOpen, onOpen, say } from "./dom.js";
import { chosenFunction } from "./functions.js";
import { poll } from "./poll.js";

const FIRST_SINCE = "10m";
const LATE_MS = 10_000; // a line may arrive after younger ones
const LINES = 300;

let since = FIRST_SINCE;
/** @type {Map<string, number>} how often each line of the last look was in it */
let seen = new Map();

/** Begin again, with what is chosen and filtered now. */
function restart() {
  since = FIRST_SINCE;
  seen = new Map();
  once = true;
  loop.restart();
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

/** @param {AbortSignal} signal */
async function look(signal) {
  const began = Date.now(), isFirst = since === FIRST_SINCE, query = { since, filter: byId("log-filter").value };
  const { lines, complete } = await get(`functions/${part(chosenFunction())}/log`, query, signal);
  const log = byId("log"), overlaps = lines.length > 0 && seen.size > 0;
  const found = fresh(lines);
  const gap = !complete && overlaps && found.length === lines.length;
  if (isFirst) log.replaceChildren();
  if (gap) log.prepend(el("li", { className: "quiet" }, "More was logged between these lines than is shown."));
  log.prepend(...found.reverse().map(lineOf));
  while (log.childElementCount > LINES) log.lastElementChild.remove();
  since = new Date(began - LATE_MS).toISOString();
  once = false;
  const filtered = query.filter && " that match";
  const all = complete || !isFirst ? "" : `, the last ${lines.length} of them`;
  const some = `Lines${filtered} of the last 10 minutes${all}`;
  say(byId("log-note"), log.childElementCount ? some : `No lines${filtered} in 10 minutes`);
}

/** @param {any} line */
function lineOf(line) {
  let level = "", text = line.message;
  try {
    const fields = JSON.parse(line.message);
    if (typeof fields.message === "string") [level, text] = [String(fields.level ?? ""), fields.message];
    if (fields.reasons) text += ` ${JSON.stringify(fields.reasons)}`;
  } catch {
    // a line that is text
  }
  const time = el("time", {}, clock(line.at / 1000));
  return el("li", { className: `level-${level.toLowerCase()}` }, time, ` ${level} ${text}`);
}

/** Whether to look although it is paused: once after the function or the filter has changed. */
let once = false;
let typing = 0;

const loop = poll({
  seconds: 2,
  wanted: () => isOpen("functions") && chosenFunction() !== "" && (once || byId("log-follow").checked),
  work: look,
  failed: (error) => error && say(byId("log-note"), error.message),
  stale: (is) => byId("log").classList.toggle("stale-part", is && byId("log-follow").checked),
});

byId("log-form").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
byId("log-filter").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(restart, 250);
});
byId("log-follow").addEventListener("change", () => byId("log-follow").checked && loop.restart());
document.addEventListener("function-chosen", () => {
  byId("log").replaceChildren();
  restart();
});
onOpen("functions", () => loop.restart());
