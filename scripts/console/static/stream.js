// Stream: put an event, watch what comes in.
import { ask, get } from "./api.js";
import { announce, byId, clock, count, el, isOpen, number, onOpen, opener, row, say, table, trying } from "./dom.js";
import { poll } from "./poll.js";

const KEPT = 500, ROWS = 200, COLUMNS = 6, CUT = 300;

let last = 0;
/** @type {any[]} newest first */
let records = [];

/** @param {AbortSignal} signal */
async function look(signal) {
  const answer = await get("stream", { after: last }, signal);
  if (answer.last < last) records = []; // the server began again
  last = answer.last;
  records.unshift(...answer.records.reverse());
  records.length = Math.min(records.length, KEPT);
  if (answer.records.length || !byId("recent").firstChild) show();
  const notes = [`${count(records.length, "newest record")} of the last minutes`];
  if (answer.behind) notes.push("still reading up to now");
  if (answer.skipped) notes.push("some records were left out, the stream is busy");
  say(byId("recent-note"), notes.join("; "));
}

/** Whether a record is one that the filter asks for. @param {any} record */
function matches(record) {
  const key = byId("recent-key").value.trim(), text = byId("recent-text").value.toLowerCase();
  const from = byId("recent-from").value;
  return (!key || record.key === key)
    && (!text || record.payload.toLowerCase().includes(text))
    && (!from || clock(record.at) >= from);
}

function show() {
  const open = byId("recent").querySelector(".below"), found = records.filter(matches);
  if (open && byId("watch").checked) return; // whoever reads a record is not disturbed
  const heads = ["", "At", "Key", "Payload", "Shard", "Sequence number"];
  byId("recent").replaceChildren(
    table("Recent records", heads, found.slice(0, ROWS).map(rowOf), "No record of the last minutes matches."));
}

/** @param {any} record see recent.py */
function rowOf(record) {
  const size = `${count(record.bytes, "byte")}, not UTF-8: `;
  const payload = (record.encoding === "hex" ? size : "") + record.payload;
  const isLong = payload.length > CUT || record.cut, shard = record.shard.replace(/^shardId-0*(?=\d)/, "");
  return row([
    opener(`Open record ${record.sequence}`, COLUMNS, () => whole(record)),
    el("td", { className: "time" }, clock(record.at)),
    el("td", { className: "data" }, record.key),
    el("td", { className: "data" }, el("code", {}, payload.slice(0, CUT) + (isLong ? " ..." : ""))),
    el("td", { className: "number", title: record.shard }, shard),
    el("td", { className: "quiet sequence" }, record.sequence),
  ]);
}

/** @param {any} record */
async function whole(record) {
  const size = `${number(record.bytes)} bytes${record.cut ? ", of which the first are shown" : ""}`;
  return el("div", {}, el("p", { className: "quiet" }, `${record.shard}, ${size}`),
    el("pre", { tabIndex: 0 }, record.pretty));
}

async function put() {
  await trying(byId("put-error"), async () => {
    await ask("POST", "stream", { key: byId("put-key").value, data: byId("put-data").value });
    announce("The event is in the stream.");
    loop.restart();
  }, byId("put").querySelector("button"));
}

function makeScore() {
  const id = Date.now();
  byId("put-key").value = String(id);
  byId("put-data").value = `{"RecordID": ${id}, "Username": "ada", "Score": 42}`;
}

byId("put").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  put();
});
byId("put-score").addEventListener("click", makeScore);
for (const id of ["recent-key", "recent-text", "recent-from"]) byId(id).addEventListener("input", show);
byId("watch").addEventListener("change", () => byId("watch").checked && show());
byId("recent-form").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());

const loop = poll({
  seconds: 1.2,
  wanted: () => isOpen("stream") && byId("watch").checked,
  work: look,
  failed: (error) => error && say(byId("recent-note"), error.message),
  stale: (is) => byId("recent").classList.toggle("stale-part", is),
});
onOpen("stream", () => loop.restart());
