// Asking the console's server. The token comes in the fragment of the link that make console prints, which no browser
// sends anywhere; it is kept for this origin, so that a reload and other tabs have it, and taken out of the address.

const KEPT = "console-token";

if (location.hash.startsWith("#token=")) {
  localStorage.setItem(KEPT, location.hash.slice("#token=".length));
  history.replaceState(null, "", location.pathname);
}

/** What the server would not or could not do. `kind` is one of those in problems.py, or "server-gone". */
export class Problem extends Error {
  /** @param {{kind: string, message: string, line?: number, column?: number}} told */
  constructor(told) {
    super(told.message);
    this.kind = told.kind;
    this.line = told.line;
    this.column = told.column;
  }
}

const GONE = "The console's server does not answer. Start it again: make console. This page goes on by itself.";

/**
 * Ask the server.
 * @param {string} method
 * @param {string} path from /api/ on
 * @param {object} [body] for what is not a GET
 * @returns {Promise<any>} its answer
 * @throws {Problem}
 */
export async function ask(method, path, body) {
  let response, answer;
  try {
    response = await fetch(`/api/${path}`, {
      method,
      headers: {
        "X-Console-Token": localStorage.getItem(KEPT) ?? "",
        ...(body && { "Content-Type": "application/json" }),
      },
      body: body && JSON.stringify(body),
    });
    answer = await response.json();
  } catch {
    throw new Problem({ kind: "server-gone", message: GONE });
  }
  if (!response.ok) throw new Problem(answer);
  return answer;
}

/** @param {string} path @param {Record<string, string|number>} [query] */
export const get = (path, query) => ask("GET", query ? `${path}?${new URLSearchParams(/** @type {any} */ (query))}` : path);

/** A part of a path. */
export const part = encodeURIComponent;
