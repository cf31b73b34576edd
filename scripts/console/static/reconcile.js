// Reconcile: check the totals, see the verdict and any drift, repair.
import { ask } from "./api.js";
import { byId, confirmed, el, moment, numberCell, onOpen, row, say, table, trying } from "./dom.js";
import { untilOver } from "./job.js";

let looking = false;

/** @param {any} job */
function show(job) {
  byId("reconcile-lines").replaceChildren(...job.lines.map((/** @type {string} */ line) => el("li", {}, line)));
  if (job.state === "running") say(byId("reconcile-verdict"), `Running: ${job.lines[job.lines.length - 1] ?? "..."}`);
  if (job.state !== "done") byId("reconcile-verdict").dataset.state = "unknown";
  if (job.state === "failed") say(byId("reconcile-verdict"), "");
  if (job.state === "done") showVerdict(job.result, job.ended);
}

/** Mark and colour of each verdict: what is not known is shown as neither well nor wrong. */
const VERDICTS = { exact: ["✓", "flowing"], wrong: ["!", "failing"], "not judged": ["?", "unknown"] };

/** @param {any} result see views/reconcile.py @param {number} ended in epoch seconds */
function showVerdict({ verdict, summary, findings }, ended) {
  const [mark, state] = VERDICTS[/** @type {keyof typeof VERDICTS} */ (verdict)];
  say(byId("reconcile-verdict"), `${mark} As of ${moment(ended)}: ${summary}`);
  byId("reconcile-verdict").dataset.state = state;
  const rows = findings.map((/** @type {any} */ each) => row([
    el("td", { className: "data" }, each.username ?? "not known"), each.record_id ?? "the total", each.cause,
    numberCell(each.present), numberCell(each.expected),
    each.repaired ? (each.is_test ? "taken back" : "yes") : "no",
  ]));
  const right = (/** @type {string} */ text) => ({ text, className: "number" });
  const heads = ["User", "Record", "Cause", right("Is"), right("Should be"), "Repaired"];
  byId("findings").replaceChildren(rows.length ? table("What has drifted", heads, rows) : "");
}

async function watch() {
  if (looking) return;
  looking = true;
  try {
    await untilOver("reconcile", show);
  } finally {
    looking = false;
  }
}

/** @param {string} path @param {string} button */
async function start(path, button) {
  await trying(byId("reconcile-error"), async () => {
    byId("findings").replaceChildren();
    await ask("POST", path, { pause: Number(byId("pause").value) });
    await watch();
  }, byId(button));
}

byId("reconcile-form").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  start("reconcile", "check");
});
byId("repair").addEventListener("click", async () => {
  const question = "Repair the ledger and the totals of this stage where they have drifted?";
  if (await confirmed(question, "Repair")) start("repair", "repair");
});
// One that another tab has started is shown, too.
onOpen("reconcile", () => trying(byId("reconcile-error"), watch));
