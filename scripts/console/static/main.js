// The page: which stage it shows, whether that can be reached, and which panel is open.
import { get, Problem } from "./api.js";
import { announce, byId, say } from "./dom.js";
import { setUpFailures } from "./failures.js";
import { setUpFunctions } from "./functions.js";
import { showFlow } from "./pipeline.js";
import { setUpTables } from "./tables.js";
import "./reconcile.js";
import "./stream.js";

const PANELS = ["functions", "tables", "stream", "failures", "reconcile"];
const EVERY_MS = 2000;

/** @type {any} what /api/about answers; null while it is not known, or no longer true */
let about = null;

function openPanel() {
  const named = location.hash.slice(1);
  if (location.hash && !PANELS.includes(named)) return; // the link that skips to the content
  const chosen = named || PANELS[0];
  for (const id of PANELS) {
    byId(id).hidden = id !== chosen;
    const link = document.querySelector(`nav a[href="#${id}"]`);
    if (id === chosen) link?.setAttribute("aria-current", "page");
    else link?.removeAttribute("aria-current");
  }
  document.dispatchEvent(new Event("opened"));
}

function showAbout() {
  document.documentElement.dataset.stage = ["local", "dev", "prod"].includes(about.stage) ? about.stage : "other";
  document.title = `${about.stage}: stream processing`;
  say(byId("stage"), about.stage);
  say(byId("account"), about.account ?? "not known");
  say(byId("region"), about.region);
  say(byId("endpoint"), about.endpoint ?? "AWS");
  say(byId("writes"), about.writes ? "on" : "off");
  for (const button of document.querySelectorAll("button.writing")) {
    /** @type {HTMLButtonElement} */ (button).disabled = !about.writes;
    if (!about.writes) button.setAttribute("title", "Start the console with ALLOW_WRITES=1 to change this stage with it");
  }
  if (!about.outputs) return;
  setUpFailures(about.writes);
  setUpFunctions(Object.keys(about.outputs.functions), about.events);
  setUpTables(Object.keys(about.outputs.tables), about.writes);
}

/** @param {Problem} problem */
function showProblem(problem) {
  about = null; // what is deployed may be another thing when it is back
  const titles = {
    "server-gone": "The console is gone", credentials: "Logged out", "not-deployed": "Not deployed",
    unreachable: "No answer", token: "Not this page's token", denied: "Not allowed",
  };
  say(byId("problem"), `${titles[problem.kind] ?? "Something is wrong"}. ${problem.message}`);
  document.body.classList.add("stale");
}

async function look() {
  try {
    if (!about?.outputs) {
      about = await get("about");
      showAbout();
    }
    const flow = await get("flow");
    if (!about.outputs) return; // deployed this moment: ask again what
    showFlow(flow, about.outputs);
    if (document.body.classList.contains("stale")) {
      document.body.classList.remove("stale");
      say(byId("problem"), "");
      announce("Back again.");
      document.dispatchEvent(new Event("opened"));
    } else if (!document.body.classList.contains("ready")) {
      document.body.classList.add("ready");
      document.dispatchEvent(new Event("opened"));
    }
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    showProblem(error);
  }
}

async function lookAgain() {
  try {
    if (!document.hidden) await look();
  } finally {
    setTimeout(lookAgain, EVERY_MS);
  }
}

addEventListener("hashchange", openPanel);
document.addEventListener("visibilitychange", () => !document.hidden && look());
openPanel();
lookAgain();
