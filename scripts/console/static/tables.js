// Tables: items a page at a time, score records to change, totals that follow, and the leaderboard.
import { ask, get, part } from "./api.js";
import { announce, byId, choice, confirmed, count, el, isOpen, number, repeat, say, table, trying } from "./dom.js";

const PAGE = 25;
const RECORDS = "GameScoreRecords", TOTALS = "GameScoresByUser";
const KEYS = { GameScoreRecords: "RecordID", GameScoreLedger: "RecordID", GameScoresByUser: "Username" };
const FOLLOWED_MS = 60_000;
const UNIT_BYTES = 8192; // an eventually consistent read of 8 KB takes one unit

let chosen = "", writes = false;
/** @type {string[]} where each page so far began; the last is the one that is shown */
let starts = [""];
let next = "";
/** Counts what was asked for: an answer that another question has overtaken is not shown. */
let asked = 0;

/** @param {string[]} tables @param {boolean} allowed */
export function setUpTables(tables, allowed) {
  writes = allowed;
  if (tables.length && !tables.includes(chosen)) {
    choice(byId("table-choice"), [RECORDS, ...tables.filter((name) => name !== RECORDS)], choose);
    choose(RECORDS);
  }
}

/** @param {string} name */
function choose(name) {
  chosen = name;
  say(byId("lookup-label"), KEYS[name]);
  byId("lookup-key").value = "";
  starts = [""];
  loadPage();
}

// Items

/** Show the page to which these starts lead. @param {string[]} to @param {HTMLButtonElement} [button] */
async function loadPage(to = starts, button) {
  if (!chosen || !isOpen("tables")) return;
  await trying(byId("items-error"), async () => {
    const mine = ++asked;
    const page = await get(`tables/${part(chosen)}/items`, { limit: PAGE, after: to[to.length - 1] });
    if (mine !== asked) return;
    starts = to;
    next = page.next ?? "";
    showItems(page.items, starts.length === 1 ? "The table is empty." : "There are no more.");
    say(byId("items-note"), `Page ${number(starts.length)}, ${count(page.items.length, "item")}${next ? "" : ", the last page"}`);
    byId("previous-page").disabled = starts.length === 1;
    byId("next-page").disabled = !next;
  }, button);
}

/** @param {any[]} items @param {string} empty */
function showItems(items, empty) {
  const key = KEYS[chosen];
  const names = [...new Set(items.flatMap((item) => Object.keys(item)))].sort((a, b) => Number(b === key) - Number(a === key) || a.localeCompare(b));
  const changing = chosen === RECORDS && writes;
  const rows = items.map((item) => [
    ...names.map((name) => item[name]?.text ?? ""),
    ...(changing ? [actions(item)] : []),
  ]);
  byId("items").replaceChildren(table(`Items of ${chosen}`, [...names, ...(changing ? ["Change"] : [])], rows, empty));
}

/** @param {any} item */
function actions(item) {
  const id = item.RecordID.text, user = item.Username?.text ?? "";
  return el("span", { className: "row" },
    el("button", { type: "button", "aria-label": `Edit record ${id}`, onclick: () => beginEdit(id, user, item.Score?.text ?? "") }, "Edit"),
    el("button", { type: "button", "aria-label": `Delete record ${id}`, onclick: () => remove(id, user) }, "Delete"));
}

async function lookUp() {
  const key = byId("lookup-key").value;
  await trying(byId("items-error"), async () => {
    const mine = ++asked;
    const { item } = await get(`tables/${part(chosen)}/item`, { key });
    if (mine !== asked) return;
    showItems(item ? [item] : [], `There is no item with ${KEYS[chosen]} ${key}.`);
    say(byId("items-note"), item ? "Found." : "");
    byId("previous-page").disabled = byId("next-page").disabled = true;
  }, byId("lookup").querySelector("button"));
}

// Score records

/** @type {{id: string, user: string}|null} the record that is being edited */
let edited = null;

/** @param {string} id @param {string} user @param {string} score */
function beginEdit(id, user, score) {
  edited = { id, user };
  fill(id, user, score);
  byId("record-user").focus();
}

/** @param {string} id @param {string} user @param {string} score */
function fill(id, user, score) {
  [byId("record-id").value, byId("record-user").value, byId("record-score").value] = [id, user, score];
  byId("record-id").readOnly = Boolean(edited);
  byId("record-cancel").hidden = !edited;
  say(byId("record-save"), edited ? "Save" : "Add");
  say(byId("record-title"), edited ? `Edit record ${id}` : "Add a score record");
  say(byId("record-error"), "");
}

function endEdit() {
  edited = null;
  fill("", "", "");
}

async function save() {
  const [id, user, score] = ["record-id", "record-user", "record-score"].map((each) => byId(each).value.trim());
  await trying(byId("record-error"), async () => {
    await follow([user, edited?.user ?? user]);
    if (edited) await ask("PUT", `records/${part(edited.id)}`, { Username: user, Score: score });
    else await ask("POST", "records", { RecordID: id, Username: user, Score: score });
    announce(`Record ${id} is saved.`);
    endEdit();
    await loadPage();
  }, byId("record-save"));
}

/** @param {string} id @param {string} user */
async function remove(id, user) {
  if (!(await confirmed(`Delete record ${id}${user && ` of ${user}`}?`, "Delete"))) return;
  await trying(byId("items-error"), async () => {
    if (user) await follow([user]);
    await ask("DELETE", `records/${part(id)}`, {});
    announce(`Record ${id} is deleted.`);
    if (edited?.id === id) endEdit();
    await loadPage();
  });
}

// Totals that follow

/** @type {Map<string, {before: string, until: number, li: HTMLElement}>} by user */
const followed = new Map();

/** @param {string} user */
async function totalOf(user) {
  const { item } = await get(`tables/${TOTALS}/item`, { key: user });
  return item ? `${item.Score?.text ?? "?"}, records: ${item.RecordCount?.text ?? "?"}` : "none yet";
}

/** Note the totals as they are before a change, and watch them. @param {string[]} users */
async function follow(users) {
  for (const user of new Set(users.filter(Boolean))) {
    const before = await totalOf(user);
    followed.get(user)?.li.remove();
    const li = el("li", {}, `${user}: ${before}`);
    followed.set(user, { before, until: Date.now() + FOLLOWED_MS, li });
    byId("followed").prepend(li);
    byId("followed-none").hidden = true;
  }
}

async function lookAtTotals() {
  for (const [user, each] of followed) {
    if (Date.now() > each.until) {
      followed.delete(user);
      each.li.append(" (no longer watched)");
      continue;
    }
    try {
      const now = await totalOf(user);
      say(each.li, now === each.before ? `${user}: ${now}` : `${user}: ${now} (was ${each.before})`);
      each.li.classList.toggle("changed", now !== each.before);
    } catch {
      // the next look tries again, and the pipeline's own look tells what is wrong
    }
  }
}

// Leaderboard

async function estimate() {
  const { items, bytes } = await get(`tables/${TOTALS}/size`);
  const units = Math.ceil(bytes / UNIT_BYTES) || 1;
  say(byId("board-cost"), `It reads the whole table of totals, up to 100 MB: about ${count(items, "user")} and ${count(units, "read unit")}, by a count that may be hours old.`);
}

async function readBoard() {
  await trying(byId("board-error"), async () => {
    const board = await get("leaderboard", { top: byId("board-top").value });
    const rows = board.totals.map((/** @type {any} */ total, /** @type {number} */ index) => [String(index + 1), total.user, total.score, number(total.records)]);
    byId("board").replaceChildren(table("Leaderboard", ["Rank", "User", "Total", "Records"], rows, "Nobody has a total yet."));
    announce(`Leaderboard of ${board.complete ? "" : "the first "}${count(board.users, "user")} read.`);
  }, byId("board-form").querySelector("button"));
}

byId("lookup").addEventListener("submit", (/** @type {Event} */ event) => (event.preventDefault(), lookUp()));
byId("all-items").addEventListener("click", () => choose(chosen));
byId("reload-page").addEventListener("click", () => loadPage(starts, byId("reload-page")));
byId("previous-page").addEventListener("click", () => loadPage(starts.slice(0, -1), byId("previous-page")));
byId("next-page").addEventListener("click", () => loadPage([...starts, next], byId("next-page")));
byId("record").addEventListener("submit", (/** @type {Event} */ event) => (event.preventDefault(), save()));
byId("record-cancel").addEventListener("click", endEdit);
byId("board-form").addEventListener("submit", (/** @type {Event} */ event) => (event.preventDefault(), readBoard()));
repeat(lookAtTotals, 1, () => isOpen("tables") && followed.size > 0);
document.addEventListener("opened", () => {
  if (!isOpen("tables")) return;
  loadPage();
  trying(byId("board-error"), estimate);
});
