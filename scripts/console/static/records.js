// Score records: add, edit, delete; and the totals that follow.
import { ask, get, part, Problem } from "./api.js";
import { announce, byId, confirmed, el, isOpen, say, trying } from "./dom.js";
import { poll } from "./poll.js";
import { loadPage, onRecord } from "./tables.js";

const RECORDS = "GameScoreRecords", TOTALS = "GameScoresByUser";
const FOLLOWED_MS = 60_000;
const KEY_BYTES = 2048; // the limit of a partition key
const LONG = 100;
const FIELDS = { Username: "record-user", Score: "record-score" };

/** @typedef {import("./tables.js").Item} Item */

/**
 * The record that is being edited: what was read of it, and what the inputs showed of that. An input shows no line
 * breaks, so that only comparing inputs tells what somebody has changed.
 * @type {{id: string, read: Item, shown: Record<string, string>}|null}
 */
let edited = null;

/** @param {boolean} writes */
export function setUpRecords(writes) {
  byId("record").inert = !writes;
}

/** @param {Item} item */
function beginEdit(item) {
  fill(item.RecordID.text, item.Username?.text ?? "", item.Score?.text ?? "");
  const shown = Object.fromEntries(Object.entries(FIELDS).map(([name, id]) => [name, byId(id).value]));
  edited = { id: item.RecordID.text, read: item, shown };
  showForm();
  byId("record-user").focus();
}

function endEdit() {
  edited = null;
  fill("", "", "");
  showForm();
}

/** @param {string} id @param {string} user @param {string} score */
function fill(id, user, score) {
  [byId("record-id").value, byId("record-user").value, byId("record-score").value] = [id, user, score];
}

function showForm() {
  byId("record-id").readOnly = Boolean(edited);
  byId("record-cancel").hidden = !edited;
  say(byId("record-save"), edited ? "Save" : "Add");
  say(byId("record-title"), edited ? `Edit record ${edited.id}` : "Add a score record");
  say(byId("record-error"), "");
}

/** What was read of the attributes that may be edited, null for none. @param {Item} item */
const read = (item) => Object.fromEntries(Object.keys(FIELDS).map((name) => [name, item[name] ?? null]));

async function save() {
  const id = byId("record-id").value.trim(), was = edited;
  await trying(byId("record-error"), async () => {
    if (was) {
      const set = Object.fromEntries(Object.entries(FIELDS)
        .filter(([name, input]) => byId(input).value !== was.shown[name])
        .map(([name, input]) => [name, byId(input).value]));
      if (!Object.keys(set).length) throw new Error("Nothing was changed.");
      await follow([userOf(was.read), set.Username ?? ""]);
      await ask("PUT", `records/${part(was.id)}`, { set, read: read(was.read) }).catch(showConflict);
    } else {
      const [Username, Score] = [byId("record-user").value, byId("record-score").value.trim()];
      await follow([Username]);
      await ask("POST", "records", { RecordID: id, Username, Score });
    }
    const { item } = await get(`tables/${RECORDS}/item`, { key: id });
    announce(`Record ${id} is saved.`);
    if (edited === was) {
      endEdit();
      byId("record-id").focus();
    }
    await loadPage(undefined, undefined, item ?? undefined);
  }, byId("record-save"));
}

/** Say what is there now; saving again is then on condition of that. @param {any} problem */
function showConflict(problem) {
  const now = problem instanceof Problem && problem.item;
  if (!now || !edited) throw problem;
  edited.read = now;
  const values = Object.keys(FIELDS).map((name) => `${name} ${now[name]?.text ?? "none"}`).join(", ");
  throw new Error(`${problem.message}. The record now has ${values}. Save again to write over that, or cancel.`);
}

/** @param {Item} item */
async function remove(item) {
  const id = item.RecordID.text, user = item.Username?.text ?? "";
  const shownUser = user.length > LONG ? `${user.slice(0, LONG)} ...` : user;
  if (!(await confirmed(`Delete record ${id}${user && ` of ${shownUser}`}?`, "Delete"))) return;
  await trying(byId("items-error"), async () => {
    await follow([userOf(item)]);
    await ask("DELETE", `records/${part(id)}`, { read: read(item) });
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

/** The user of a record; "" where it names none. @param {Item} item */
const userOf = ({ Username }) => (Username?.type === "S" ? Username.text : "");

/** Whether there can be a total of a user. @param {string} user */
const isKey = (user) => user !== "" && new TextEncoder().encode(user).length <= KEY_BYTES;

/** Note the totals as they are before a change, and watch them. @param {string[]} users */
async function follow(users) {
  for (const user of new Set(users.filter(isKey))) {
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
    const now = await totalOf(user);
    say(each.li, now === each.before ? `${user}: ${now}` : `${user}: ${now} (was ${each.before})`);
    each.li.classList.toggle("changed", now !== each.before);
  }
}

byId("record").addEventListener("submit", (/** @type {Event} */ event) => {
  event.preventDefault();
  save();
});
byId("record-cancel").addEventListener("click", endEdit);
onRecord({ edit: beginEdit, remove });
poll({
  seconds: 1,
  wanted: () => isOpen("tables") && followed.size > 0,
  work: lookAtTotals,
  failed: () => {}, // the pipeline's own poll shows what is wrong
  stale: (is) => byId("followed").classList.toggle("stale-part", is),
});
