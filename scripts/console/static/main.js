// The page: which stage it shows, whether what it shows is of now, and which panel is open.
import { get, KEPT, Problem, useLink } from "./api.js";
import { announce, byId, clock, say } from "./dom.js";
import { setUpFailures } from "./failures.js";
import { setUpFunctions } from "./functions.js";
import { showFlow } from "./pipeline.js";
import { poll } from "./poll.js";
import { setUpRecords } from "./records.js";
import { setUpTables } from "./tables.js";
import "./charts.js";
import "./log.js";
import "./reconcile.js";
import "./stream.js";

const PANELS = ["functions", "tables", "stream", "failures", "reconcile"];
const EVERY = 2;
const TITLES = {
  gone: "The console is gone", slow: "No answer", credentials: "Logged out", "not-deployed": "Not deployed",
  "being-deployed": "Being deployed", unreachable: "No answer", key: "Not this page's link", code: "Link used already",
  denied: "Not allowed", impostor: "Not the console",
};

/** @type {any} what /api/about answers; null while it is not known, or no longer true */
let about = null;
/** @type {Problem|null} */
let wrong = null;
let state = "", seenAt = 0, isStale = false, isLinked = false, every = EVERY;

function openPanel() {
  const [named, subject = ""] = location.hash.slice(1).split("/");
  if (location.hash && !PANELS.includes(named)) return; // the link that skips to the content
  const chosen = named || PANELS[0];
  for (const id of PANELS) {
    byId(id).hidden = id !== chosen;
    const link = document.querySelector(`nav a[href="#${id}"]`);
    if (id === chosen) link?.setAttribute("aria-current", "page");
    else link?.removeAttribute("aria-current");
  }
  opened(decodeURIComponent(subject));
}

/** @param {string} [subject] */
const opened = (subject) => document.dispatchEvent(new CustomEvent("opened", { detail: subject }));

function showAbout() {
  document.documentElement.dataset.stage = ["local", "dev", "prod"].includes(about.stage) ? about.stage : "other";
  say(byId("stage"), about.stage);
  say(byId("account"), about.account ?? "not known");
  say(byId("region"), about.region);
  say(byId("endpoint"), about.endpoint ?? "AWS");
  say(byId("writes"), about.writes ? "on" : "off");
  for (const button of document.querySelectorAll("button.writing")) {
    /** @type {HTMLButtonElement} */ (button).disabled = !about.writes;
  }
  for (const hint of document.querySelectorAll(".read-only")) {
    /** @type {HTMLElement} */ (hint).hidden = about.writes;
    say(hint, `Stage ${about.stage} is read-only here. To change it, start the console with ALLOW_WRITES=1.`);
  }
  if (!about.outputs) return;
  setUpFailures(about.writes, about.outputs.functions);
  setUpFunctions(about.outputs.functions);
  setUpTables(about.outputs.tables, about.writes);
  setUpRecords(about.writes);
}

/** Say in the bar and in the title whether what is shown is of now. */
function showState() {
  const stage = about?.stage ?? (byId("stage").textContent || "console");
  const title = wrong ? TITLES[/** @type {keyof typeof TITLES} */ (wrong.kind)] ?? "Something is wrong" : "";
  const old = seenAt ? `What is shown is of ${clock(seenAt)}.` : "";
  const text = wrong ? `${title}. ${wrong.message} ${old}` : isStale ? `No news. ${old} Asking again.` : "";
  say(byId("problem"), text.trim());
  const isOld = Boolean(wrong) || isStale;
  document.body.classList.toggle("stale", isOld);
  document.title = isOld ? `? ${stage}: ${title.toLowerCase() || "no news"}` : `${stage}: ${state || "..."}`;
}

/** @param {AbortSignal} signal @returns {Promise<number>} the age in ms of what is shown */
async function look(signal) {
  const known = about?.deployment;
  const flow = known ? await get("flow", undefined, signal) : null;
  if (!flow || flow.deployment !== known) {
    about = await get("about", undefined, signal);
    showAbout();
    if (flow) return look(signal); // what is deployed has changed
  }
  const seen = flow ?? await get("flow", undefined, signal);
  if (seen.deployment !== about.deployment) return look(signal);
  showFlow(seen, about.outputs);
  [state, seenAt, every] = [seen.state, seen.at, seen.every];
  const first = !document.body.classList.contains("ready");
  if (first || wrong) opened(first ? undefined : "");
  if (wrong) announce("Back again.");
  document.body.classList.add("ready");
  return seen.age * 1000;
}

const loop = poll({
  seconds: () => Math.max(EVERY, every / 2),
  wanted: () => isLinked,
  work: look,
  renewed: () => every,
  failed(error) {
    if (error) about = about && { ...about, deployment: null };
    wrong = error;
    showState();
  },
  stale(is) {
    if (is === isStale) return;
    isStale = is;
    showState();
  },
});

async function openLink() {
  try {
    const used = await useLink();
    isLinked = true;
    if (used) loop.restart();
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    // A page that has a key goes on with it.
    isLinked = localStorage.getItem(KEPT) !== null;
    if (isLinked) announce(error.message);
    else wrong = error;
    showState();
  }
}

// Whoever had the port before may have registered one.
navigator.serviceWorker?.getRegistrations().then((all) => all.forEach((each) => each.unregister()), () => {});

addEventListener("hashchange", () => {
  openLink();
  openPanel();
});
addEventListener("storage", (event) => {
  if (event.key !== KEPT) return;
  isLinked = true;
  loop.restart();
});
await openLink();
openPanel();
loop.restart();
