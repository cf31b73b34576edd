// Making and changing what is on the page.

const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}]/gu;

/**
 * Text with what cannot be seen, or would turn other text around, named: a direction mark shows as ⟨U+202E⟩.
 * @param {string} text @param {boolean} [lines] whether line breaks stay
 */
const visible = (text, lines = false) => text.replace(UNSEEN, (character) =>
  character === "\t" || (lines && character === "\n")
    ? character
    : `⟨U+${character.codePointAt(0)?.toString(16).toUpperCase().padStart(4, "0")}⟩`);

/**
 * An element. Properties that start with "on" are listeners; text is never read as HTML, and never invisible.
 * @param {string} tag @param {Record<string, any>} [properties] @param {...(Node|string|null|undefined|false)} children
 * @returns {any}
 */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made) /** @type {any} */ (made)[name] = value;
    else made.setAttribute(name, value);
  }
  for (const child of children) {
    if (typeof child === "string") made.append(visible(child, tag === "pre"));
    else if (child) made.append(child);
  }
  return made;
}

/** @param {string} id @returns {any} */
export const byId = (id) => document.getElementById(id);

/**
 * Set a text only when it changes: an aria-live region speaks at every change.
 * @param {Element} where @param {string} text
 */
export function say(where, text) {
  const seen = visible(text, true);
  if (where.textContent !== seen) where.textContent = seen;
}

let notice = 0;

/** Confirm an action, to the eye and to screen readers. @param {string} text */
export function announce(text) {
  say(byId("announcer"), text);
  byId("announcer").classList.add("shown");
  clearTimeout(notice);
  notice = setTimeout(() => byId("announcer").classList.remove("shown"), 6000);
}

/** @param {number} value */
export const number = (value, digits = 0) =>
  value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits });

/** @param {number} value @param {string} noun */
export const count = (value, noun) => `${number(value)} ${noun}${value === 1 ? "" : "s"}`;

/** @param {number} seconds since the epoch */
export const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString([], { hour12: false });

/** @param {number} seconds since the epoch */
export const moment = (seconds) => new Date(seconds * 1000).toLocaleString([], { hour12: false });

/**
 * A table.
 * @param {string} caption @param {(string|{text: string, className: string})[]} heads
 * @param {HTMLElement[]} rows @param {string} [empty] instead of rows
 */
export function table(caption, heads, rows, empty = "Nothing.") {
  if (!rows.length) return el("p", { className: "quiet" }, empty);
  const cells = heads.map((head) => (typeof head === "string" ? { text: head, className: "" } : head));
  return el("table", {},
    el("caption", { className: "unseen" }, caption),
    el("thead", {}, el("tr", {}, ...cells.map(({ text, className }) => el("th", { scope: "col", className }, text)))),
    el("tbody", {}, ...rows));
}

/** A row of a table. @param {(Node|string)[]} cells @param {Record<string, any>} [properties] */
export const row = (cells, properties = {}) => el("tr", properties, ...cells.map((cell) =>
  cell instanceof HTMLTableCellElement ? cell : el("td", {}, cell)));

/** A cell for a number. @param {string} text */
export const numberCell = (text) => el("td", { className: "number" }, text);

/**
 * A button that opens more below its row.
 * @param {string} label @param {number} columns @param {() => Node|Promise<Node>} more
 */
export function opener(label, columns, more) {
  /** @type {HTMLElement|null} */
  let below = null;
  const button = el("button", {
    type: "button", className: "opener", "aria-label": label, "aria-expanded": "false",
  }, "▸");
  button.addEventListener("click", async () => {
    if (below) {
      below.remove();
      below = null;
    } else {
      const cell = el("td", { colSpan: columns }, "...");
      below = el("tr", { className: "below" }, cell);
      button.closest("tr").after(below);
      try {
        cell.replaceChildren(await more());
      } catch (error) {
        say(cell, /** @type {Error} */ (error).message);
      }
    }
    button.setAttribute("aria-expanded", String(Boolean(below)));
    button.textContent = below ? "▾" : "▸";
  });
  return button;
}

/**
 * One of several to choose from.
 * @param {HTMLElement} fieldset @param {string[]} names @param {string} chosen @param {(name: string) => void} onchange
 */
export function choice(fieldset, names, chosen, onchange) {
  /** @type {HTMLInputElement[]} */
  const present = [...fieldset.querySelectorAll("input")];
  if (present.length && present.map(({ value }) => value).join() === names.join()) {
    for (const input of present) input.checked = input.value === chosen; // the focus stays
    return;
  }
  const inputs = names.map((name) =>
    el("label", {}, el("input", {
      type: "radio", name: fieldset.id, value: name, checked: name === chosen, onchange: () => onchange(name),
    }), ` ${name}`),
  );
  fieldset.replaceChildren(fieldset.firstElementChild ?? "", ...inputs);
}

/** Ask before doing what cannot be undone. @param {string} question @param {string} yes @returns {Promise<boolean>} */
export function confirmed(question, yes) {
  const dialog = byId("confirm");
  say(byId("confirm-question"), question);
  say(byId("confirm-yes"), yes);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/**
 * Change what is in an element, and leave the focus where it was in it.
 * @param {HTMLElement} where @param {() => void} change
 */
export function keepingFocus(where, change) {
  const focused = document.activeElement;
  const label = focused && where.contains(focused) ? focused.getAttribute("aria-label") ?? "" : null;
  change();
  if (label === null || where.contains(document.activeElement)) return;
  const same = label && where.querySelector(`[aria-label=${CSS.escape(label)}]`);
  /** @type {HTMLElement} */ (same || where).focus();
}

/** How often something was tried whose failure is shown in an element. @type {WeakMap<HTMLElement, number>} */
const turns = new WeakMap();

/**
 * Do what a button says, once at a time, and say beside it when that fails. What ends after something else was begun
 * whose failure is shown in the same place leaves that place alone.
 * @param {HTMLElement} where @param {() => Promise<void>} work @param {HTMLButtonElement|null} [button]
 */
export async function trying(where, work, button) {
  if (button?.getAttribute("aria-busy") === "true") return;
  button?.setAttribute("aria-busy", "true");
  const turn = (turns.get(where) ?? 0) + 1;
  turns.set(where, turn);
  const isLast = () => turns.get(where) === turn;
  try {
    await work();
    if (!isLast()) return;
    if (where.dataset.failed) say(where, "");
    delete where.dataset.failed;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    if (error.name === "AbortError" || !isLast()) return;
    where.dataset.failed = "yes";
    say(where, error.message);
  } finally {
    button?.removeAttribute("aria-busy");
  }
}

/** Whether a panel is the one that is open. @param {string} id */
export const isOpen = (id) => !byId(id).hidden;

/**
 * Be called when a panel is opened, with what of it: a function's name, say.
 * @param {string} panel @param {(subject: string) => void} listener
 */
export const onOpen = (panel, listener) => document.addEventListener("opened", (event) => {
  const { detail } = /** @type {CustomEvent} */ (event);
  if (isOpen(panel)) listener(detail ?? "");
});
