// Reconcile: check the totals, see the verdict and any drift, repair.
import { ask } from "./api.js";
import { byId, confirmed, el, isOpen, say, table, trying } from "./dom.js";
import { untilOver } from "./job.js";

let looking = false;

/** @param {any} job */
function show(job) {
  byId("reconcile-lines").replaceChildren(...job.lines.map((/** @type {string} */ line) => el("li", {}, line)));
  if (job.state === "running") say(byId("reconcile-verdict"), `Running: ${job.lines[job.lines.length - 1] ?? "..."}`);
  if (job.state !== "done") byId("reconcile-verdict").dataset.state = "unknown";
  if (job.state === "failed") say(byId("reconcile-verdict"), "");
  if (job.state === "done") showVerdict(job.result);
}

/** Mark and colour of each verdict: what is not known is shown as neither well nor wrong. */
const VERDICTS = { exact: ["✓", "flowing"], wrong: ["!", "blocked"], "not judged": ["?", "unknown"] };

/** @param {any} result see _reconcile in app.py */
function showVerdict({ verdict, told, findings }) {
  const [mark, state] = VERDICTS[/** @type {keyof typeof VERDICTS} */ (verdict)];
  say(byId("reconcile-verdict"), `${mark} ${told}`);
  byId("reconcile-verdict").dataset.state = state;
  byId("findings").replaceChildren(findings.length ? table("What has drifted", ["User", "Record", "Cause", "Is", "Should be", "Repaired"],
    findings.map((/** @type {any} */ each) => [each.username ?? "unknown", each.record_id ?? "the total", each.cause, each.present, each.expected,
      each.repaired ? (each.is_test ? "taken back" : "yes") : "no"])) : "");
}

async function watch() {
  if (looking) return;
  looking = true;
  await trying(byId("reconcile-error"), async () => {
    await untilOver("reconcile", show);
  });
  looking = false;
}

/** @param {string} path @param {string} button */
async function start(path, button) {
  await trying(byId("reconcile-error"), async () => {
    byId("findings").replaceChildren();
    await ask("POST", path, { pause: Number(byId("pause").value) });
    await watch();
    if (byId("reconcile-error").textContent) throw new Error(byId("reconcile-error").textContent);
  }, byId(button));
}

byId("reconcile-form").addEventListener("submit", (/** @type {Event} */ event) => (event.preventDefault(), start("reconcile", "check")));
byId("repair").addEventListener("click", async () => {
  if (await confirmed("Repair the ledger and the totals of this stage where they have drifted?", "Repair")) start("repair", "repair");
});
// One that another tab has started is shown, too.
document.addEventListener("opened", () => isOpen("reconcile") && watch());
