// Small things for making and changing what is on the page.

/**
 * An element. Properties that start with "on" are listeners; text is never read as HTML.
 * @param {string} tag @param {Record<string, any>} [properties] @param {...(Node|string|null|undefined|false)} children
 * @returns {any}
 */
export function el(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child || child === ""));
  return made;
}

/** @param {string} id @returns {any} */
export const byId = (id) => document.getElementById(id);

/** Set a text only when it changes: an aria-live region speaks at every change. @param {Element} where @param {string} text */
export function say(where, text) {
  if (where.textContent !== text) where.textContent = text;
}

/** Tell those who do not see the page. @param {string} text */
export const announce = (text) => say(byId("announcer"), text);

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
 * @param {string} caption @param {string[]} heads @param {(Node|string)[][]} rows @param {string} [empty] instead of rows
 */
export function table(caption, heads, rows, empty = "Nothing.") {
  if (!rows.length) return el("p", { className: "quiet" }, empty);
  return el(
    "table",
    {},
    el("caption", { className: "unseen" }, caption),
    el("thead", {}, el("tr", {}, ...heads.map((head) => el("th", { scope: "col" }, head)))),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...row.map((cell) => el("td", {}, cell))))),
  );
}

/**
 * One of several to choose from.
 * @param {HTMLElement} fieldset @param {string[]} names @param {(name: string) => void} onchange
 */
export function choice(fieldset, names, onchange) {
  const inputs = names.map((name, index) =>
    el("label", {}, el("input", {
      type: "radio", name: fieldset.id, value: name, checked: !index, onchange: () => onchange(name),
    }), ` ${name}`),
  );
  fieldset.replaceChildren(fieldset.firstElementChild ?? "", ...inputs);
}

/** Ask before doing what cannot be taken back. @param {string} question @param {string} yes @returns {Promise<boolean>} */
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

/** How often something was tried whose failure is told in an element. @type {WeakMap<HTMLElement, number>} */
const turns = new WeakMap();

/**
 * Do what a button says, once at a time, and tell beside it when that fails. What ends after something else was begun
 * whose failure is told in the same place leaves that place alone.
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
    if (!isLast()) return;
    where.dataset.failed = "yes";
    say(where, error.message);
  } finally {
    button?.removeAttribute("aria-busy");
  }
}

/**
 * Repeat `work` while the page is looked at and `wanted`: the next time begins only when the last is over.
 * @param {() => Promise<void>} work @param {number} seconds @param {() => boolean} wanted
 */
export function repeat(work, seconds, wanted) {
  const again = async () => {
    try {
      if (!document.hidden && wanted()) await work();
    } finally {
      setTimeout(again, seconds * 1000);
    }
  };
  again();
}

/** Whether a panel is the one that is open. @param {string} id */
export const isOpen = (id) => !byId(id).hidden;
