// Failures: what failed for good, why, and redriving it.
import { ask, get } from "./api.js";
import { byId, confirmed, count, el, isOpen, moment, say, trying } from "./dom.js";
import { untilOver } from "./job.js";

let writes = false, after = "", shown = 0;

/** @param {boolean} allowed */
export function setUpFailures(allowed) {
  writes = allowed;
}

/** @param {boolean} more */
async function load(more) {
  if (!isOpen("failures")) return;
  await trying(byId("failures-error"), async () => {
    const { failures, next } = await get("failures", { after: more ? after : "" });
    shown = (more ? shown : 0) + failures.length;
    after = next ?? "";
    if (!more) byId("failure-list").replaceChildren();
    byId("failure-list").append(...failures.map(itemOf));
    byId("more-failures").hidden = !next;
    byId("redrive-all").disabled = !writes || !shown;
    say(byId("failures-note"), shown ? `${count(shown, "failure")}${next ? ", and more" : ""}` : "Nothing has failed.");
  }, more ? byId("more-failures") : byId("reload-failures"));
}

/** @param {any} failure see /api/failures */
function itemOf(failure) {
  return el("li", {},
    el("p", {}, el("strong", {}, failure.reason)),
    el("p", { className: "quiet" }, `${failure.function || "unknown function"}, failed first ${moment(failure.at)}, ${contents(failure)}`),
    el("p", { className: "quiet key" }, failure.key),
    el("details", {}, el("summary", {}, "Payload"), el("pre", { tabIndex: 0 }, JSON.stringify(failure.document, null, 2))),
    el("button", { type: "button", disabled: !writes || failure.records === null, "aria-label": `Redrive ${failure.key}`, onclick: () => redrive(failure) }, "Redrive"));
}

/** @param {any} failure see /api/failures */
function contents(failure) {
  if (failure.records === null) return "records not known";
  return count(failure.records, "record") + (failure.oldest === null ? "" : `, the oldest of ${moment(failure.oldest)}`);
}

/** @param {any} failure null for all */
async function redrive(failure) {
  const question = failure
    ? `Replay ${count(failure.records, "record")} through ${failure.function}?`
    : "Replay everything that has failed through its function?";
  if (!(await confirmed(question, "Redrive"))) return;
  const result = byId("redrive");
  await trying(byId("failures-error"), async () => {
    await ask("POST", "redrive", failure ? { key: failure.key } : {});
    const job = await untilOver("redrive", ({ lines }) => say(result, `Redriving ... ${lines[lines.length - 1] ?? ""}`));
    const told = Object.entries(job.result).map(([verdict, number]) => `${verdict} ${number}`).join(", ");
    result.replaceChildren(
      el("p", {}, told ? `Objects: ${told}.` : "Nothing has failed."),
      ...(job.lines.length ? [el("details", {}, el("summary", {}, "Each"), el("pre", { tabIndex: 0 }, job.lines.join("\n")))] : []));
    await load(false);
  });
}

byId("redrive-all").addEventListener("click", () => redrive(null));
byId("reload-failures").addEventListener("click", () => load(false));
byId("more-failures").addEventListener("click", () => load(true));
document.addEventListener("opened", () => load(false));
