// Tables: items a page at a time or by their key, and the leaderboard.
import { ask, get, part } from "./api.js";
import {
  announce, byId, choice, count, el, isOpen, keepingFocus, number, numberCell, onOpen, opener, row, say, table, trying,
} from "./dom.js";

const PAGE = 25;
const RECORDS = "GameScoreRecords", TOTALS = "GameScoresByUser";
const UNIT_BYTES = 8192; // an eventually consistent read of 8 KB takes one unit
/** @type {Record<string, string>} */
const TYPES = { S: "text", N: "number", B: "binary", BOOL: "true or false", NULL: "null", M: "map", L: "list" };

/** @typedef {Record<string, {type: string, text: string}>} Item */

/** @type {string[]} */
let names = [];
let chosen = "", writes = false, key = "";
/** @type {Record<string, string>} the names of the tables' keys */
let keys = {};
/** @type {string[]} where each page so far began; the last is the one that is shown */
let starts = [""];
let next = "";
/** Counts what was asked for: an answer that another question has overtaken is not shown. */
let asked = 0;
/** @type {{edit: (item: Item) => void, remove: (item: Item) => void}} what the buttons of a record do */
let actions = { edit: () => {}, remove: () => {} };

/** @param {typeof actions} chosenActions */
export function onRecord(chosenActions) {
  actions = chosenActions;
}

/** @param {Record<string, {hash_key: {name: string}}>} tables by their names in the lab @param {boolean} allowed */
export function setUpTables(tables, allowed) {
  writes = allowed;
  keys = Object.fromEntries(Object.entries(tables).map(([name, { hash_key }]) => [name, hash_key.name]));
  names = Object.keys(tables).toSorted((a, b) => Number(b === RECORDS) - Number(a === RECORDS));
  choose(names.includes(chosen) ? chosen : names[0] ?? "");
}

/** @param {string} name */
function choose(name) {
  chosen = name;
  choice(byId("table-choice"), names, chosen, choose);
  byId("lookup-key").value = "";
  starts = [""];
  key = keys[chosen] ?? "";
  say(byId("lookup-label"), key);
  loadPage();
}

// Items

/**
 * Show the page to which these starts lead.
 * @param {string[]} [to] @param {HTMLButtonElement} [button]
 * @param {Item} [saved] an item to show in any case, and to mark
 */
export async function loadPage(to = starts, button, saved) {
  if (!chosen || !isOpen("tables")) return;
  await trying(byId("items-error"), async () => {
    const mine = ++asked, wanted = chosen;
    const page = await get(`tables/${part(wanted)}/items`, { limit: PAGE, after: to[to.length - 1] });
    if (mine !== asked || wanted !== chosen) return;
    starts = to;
    next = page.next ?? "";
    const items = withSaved(page.items, saved);
    showItems(items, starts.length === 1 ? "The table is empty." : "There are no more.", saved);
    const last = next ? "" : ", the last page";
    say(byId("items-note"), `Page ${number(starts.length)}, ${count(page.items.length, "item")}${last}`);
    byId("previous-page").disabled = starts.length === 1;
    byId("next-page").disabled = !next;
  }, button);
}

/** @param {Item[]} items @param {Item} [saved] */
function withSaved(items, saved) {
  if (!saved || chosen !== RECORDS) return items;
  const isThere = items.some((item) => item[key]?.text === saved[key]?.text);
  return isThere ? items : [saved, ...items];
}

/** @param {Item[]} items @param {string} empty @param {Item} [saved] */
function showItems(items, empty, saved) {
  const all = new Set(items.flatMap((item) => Object.keys(item)));
  const columns = [...all].sort((a, b) => Number(b === key) - Number(a === key) || a.localeCompare(b));
  const types = columns.map((name) => [...new Set(items.flatMap((item) => item[name]?.type ?? []))]);
  const changing = chosen === RECORDS && writes;
  const heads = [
    "",
    ...columns.map((name, index) => ({
      text: `${name} (${types[index].map((type) => TYPES[type] ?? type).join(", ")})`,
      className: types[index].join() === "N" ? "number" : "",
    })),
    ...(changing ? ["Change"] : []),
  ];
  const rows = items.map((item) => row([
    opener(`Open item ${item[key]?.text ?? ""}`, heads.length, () => el("pre", { tabIndex: 0 }, asJson(item))),
    ...columns.map((name) => cellOf(item[name])),
    ...(changing ? [buttons(item)] : []),
  ], { className: saved && item[key]?.text === saved[key]?.text ? "saved" : "" }));
  keepingFocus(byId("items"), () => byId("items").replaceChildren(table(`Items of ${chosen}`, heads, rows, empty)));
}

/** @param {{type: string, text: string}|undefined} attribute */
function cellOf(attribute) {
  if (!attribute) return el("td", { className: "quiet" }, "");
  return attribute.type === "N" ? numberCell(attribute.text) : el("td", { className: "data" }, attribute.text);
}

/** An item as JSON, its numbers as DynamoDB has them. @param {Item} item */
function asJson(item) {
  const lines = Object.entries(item).map(([name, { type, text }]) =>
    `  ${JSON.stringify(name)}: ${type === "S" ? JSON.stringify(text) : text}`);
  return `{\n${lines.join(",\n")}\n}`;
}

/** @param {Item} item */
function buttons(item) {
  const button = (/** @type {string} */ text, /** @type {() => void} */ onclick) =>
    el("button", { type: "button", "aria-label": `${text} record ${item.RecordID?.text}`, onclick }, text);
  return el("span", { className: "row" },
    button("Edit", () => actions.edit(item)), button("Delete", () => actions.remove(item)));
}

async function lookUp() {
  const value = byId("lookup-key").value;
  await trying(byId("items-error"), async () => {
    const mine = ++asked;
    const { item } = await get(`tables/${part(chosen)}/item`, { key: value });
    if (mine !== asked) return;
    showItems(item ? [item] : [], `There is no item with ${key} ${value}.`);
    say(byId("items-note"), item ? "Found." : "");
    byId("previous-page").disabled = byId("next-page").disabled = true;
  }, byId("lookup").querySelector("button"));
}

// Leaderboard

async function estimate() {
  const { items, bytes } = await get(`tables/${part(TOTALS)}`);
  const units = Math.ceil(bytes / UNIT_BYTES) || 1;
  say(byId("board-cost"), `It reads the whole table of totals, up to 100 MB: about ${count(items, "user")} and `
    + `${count(units, "read unit")}. DynamoDB updates these numbers every six hours.`);
}

async function readBoard() {
  await trying(byId("board-error"), async () => {
    const board = await ask("GET", `leaderboard?top=${part(byId("board-top").value)}`, undefined, { timeout: 300_000 });
    const right = (/** @type {string} */ text) => ({ text, className: "number" });
    const rows = board.totals.map((/** @type {any} */ total, /** @type {number} */ index) => row([
      numberCell(String(index + 1)), el("td", { className: "data" }, total.user), numberCell(total.score),
      numberCell(number(total.records)),
    ]));
    const heads = [right("Rank"), "User", right("Total"), right("Records")];
    byId("board").replaceChildren(table("Leaderboard", heads, rows, "Nobody has a total yet."));
    announce(`Leaderboard of ${board.complete ? "" : "the first "}${count(board.users, "user")} read.`);
  }, byId("board-form").querySelector("button"));
}

byId("lookup").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  lookUp();
});
byId("all-items").addEventListener("click", () => choose(chosen));
byId("reload-page").addEventListener("click", () => loadPage(starts, byId("reload-page")));
byId("previous-page").addEventListener("click", () => loadPage(starts.slice(0, -1), byId("previous-page")));
byId("next-page").addEventListener("click", () => loadPage([...starts, next], byId("next-page")));
byId("board-form").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  readBoard();
});
onOpen("tables", (subject) => {
  if (names.includes(subject) && subject !== chosen) choose(subject);
  else loadPage();
  if (names.length) trying(byId("board-error"), estimate);
});
