// The log of the chosen function, newest lines first.
import { get, part } from "./api.js";
import { byId, clock, el, isOpen, onOpen, say } from "./dom.js";
import { chosenFunction } from "./functions.js";
import { poll } from "./poll.js";

const FIRST_MS = 10 * 60_000;
const LATE_MS = 10_000; // a line may arrive after younger ones
const OFTEN_S = 2, SELDOM_S = 5;
const QUIET_MS = 30_000; // without a new line, after which one looks less often
const LINES = 300;

let since = 0; // in ms; 0 before the first look
let hadLines = Date.now(); // when a look last brought one, or was the first
/** @type {{from: number, until: number, isCut: boolean}} what the shown lines are of; cut: older ones are left out */
let span = { from: 0, until: 0, isCut: false };
/** @type {Map<string, number>} how often each line of the last look was in it */
let seen = new Map();

/** Begin again, with what is chosen and filtered now. */
function restart() {
  since = 0;
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
  const began = Date.now(), isFirst = !since, from = since || began - FIRST_MS;
  const query = { since: new Date(from).toISOString(), filter: byId("log-filter").value };
  const { lines, complete } = await get(`functions/${part(chosenFunction())}/log`, query, signal);
  const log = byId("log"), found = fresh(lines);
  // Of the lines between those that are shown and those that were found, some are not known.
  const isApart = !complete && found.length === lines.length;
  if (isFirst || found.length) hadLines = began;
  if (isFirst || isApart) log.replaceChildren();
  if (isFirst) span = { from, until: began, isCut: false };
  log.prepend(...found.reverse().map(lineOf));
  const isLong = log.childElementCount > LINES;
  while (log.childElementCount > LINES) log.lastElementChild.remove();
  span = { ...span, until: began, isCut: span.isCut || isApart || isLong };
  since = began - LATE_MS;
  once = false;
  showNote();
}

function showNote() {
  const lines = `${byId("log").childElementCount ? "lines" : "no lines"}${byId("log-filter").value && " that match"}`;
  const until = byId("log-follow").checked ? "" : ` until ${clock(span.until / 1000)}`;
  const text = span.isCut ? `newest ${lines}${until}; older ones are left out`
    : `${lines} since ${clock(span.from / 1000)}${until}`;
  say(byId("log-note"), text[0].toUpperCase() + text.slice(1));
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
  seconds: () => (Date.now() - hadLines > QUIET_MS ? SELDOM_S : OFTEN_S),
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
byId("log-follow").addEventListener("change", () => {
  if (byId("log-follow").checked) loop.restart();
  else if (since) showNote();
});
document.addEventListener("function-chosen", () => {
  byId("log").replaceChildren();
  restart();
});
onOpen("functions", () => loop.restart());
