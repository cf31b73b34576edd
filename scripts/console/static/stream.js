// Stream: put an event, watch what comes in.
import { ask, get } from "./api.js";
import { announce, byId, clock, count, el, isOpen, number, repeat, say, trying } from "./dom.js";

const ROWS = 200;

let last = 0;
const body = el("tbody");

byId("recent").append(el("table", {},
  el("caption", { className: "unseen" }, "Recent records"),
  el("thead", {}, el("tr", {}, ...["At", "Key", "Payload", "Shard, sequence number"].map((head) => el("th", { scope: "col" }, head)))),
  body));

async function look() {
  await trying(byId("recent-note"), async () => {
    const { records, last: newest, skipped } = await get("stream", { after: last });
    if (newest < last) body.replaceChildren(); // the server began anew
    last = newest;
    body.prepend(...records.slice(-ROWS).reverse().map(rowOf));
    while (body.childElementCount > ROWS) body.lastElementChild.remove();
    delete byId("recent-note").dataset.failed;
    say(byId("recent-note"), skipped ? "The stream is busier than one may watch: some records are left out." : `${count(newest, "record")} since this began, five minutes back`);
  });
}

/** @param {any} record see recent.py */
function rowOf(record) {
  const payload = record.encoding === "hex" ? `${number(record.bytes)} bytes, not UTF-8: ${record.payload}` : record.payload;
  return el("tr", {},
    el("td", { className: "time" }, clock(record.at)),
    el("td", {}, record.key),
    el("td", {}, el("code", {}, payload + (record.cut ? " ..." : ""))),
    el("td", { className: "quiet" }, `${record.shard} `, el("span", { className: "sequence" }, record.sequence)));
}

async function put() {
  await trying(byId("put-error"), async () => {
    await ask("POST", "stream", { key: byId("put-key").value, data: byId("put-data").value });
    announce("The event is in the stream.");
  }, byId("put").querySelector("button"));
}

function makeScore() {
  const id = Date.now();
  byId("put-key").value = String(id);
  byId("put-data").value = `{"RecordID": ${id}, "Username": "ada", "Score": 42}`;
}

byId("put").addEventListener("submit", (/** @type {Event} */ event) => (event.preventDefault(), put()));
byId("put-score").addEventListener("click", makeScore);
repeat(look, 1.2, () => isOpen("stream") && byId("watch").checked);
