// Asking the console's server. session.py says how page and server prove to each other that they know the key.

/** Where the browser keeps the key. */
export const KEPT = "console-key";
const CODE = "#code=";
const TIMEOUT_MS = 10_000;

/** What the server would not or could not do. `kind` is one of those in problems.py, or one of this module. */
export class Problem extends Error {
  /** @param {{kind: string, message: string, line?: number, column?: number, item?: any}} body */
  constructor(body) {
    super(body.message);
    this.kind = body.kind;
    this.line = body.line;
    this.column = body.column;
    this.item = body.item;
  }
}

const PROBLEMS = {
  gone: "The console's server does not answer. Start it again, and open the link that it prints: make console.",
  slow: "The console's server has not answered for 10 seconds. It may hang: look at its terminal.",
  key: "Open the link that make console printed last. It works in this tab, too.",
  impostor: "Something answers on the console's port that is not the console. Close this page, and start the console "
    + "again: make console PORT=<another port>.",
};

/** @param {keyof typeof PROBLEMS} kind */
const problem = (kind) => new Problem({ kind, message: PROBLEMS[kind] });

const encoder = new TextEncoder();
/** @type {{text: string, key: CryptoKey}|null} */
let imported = null;

/** @param {string} message @returns {Promise<string>} its HMAC in hexadecimal */
async function mac(message) {
  const text = localStorage.getItem(KEPT);
  if (!text) throw problem("key");
  if (imported?.text !== text) {
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    imported = { text, key: await crypto.subtle.importKey("raw", encoder.encode(text), algorithm, false, ["sign"]) };
  }
  return hex(await crypto.subtle.sign("HMAC", imported.key, encoder.encode(message)));
}

/** @param {ArrayBuffer|Uint8Array} bytes */
const hex = (bytes) => [...new Uint8Array(bytes)].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/**
 * Exchange the code of a link for the key, and take it out of the address. A code that does not work changes nothing.
 * @returns {Promise<boolean>} whether there was a code
 * @throws {Problem} when it does not work
 */
export async function useLink() {
  if (!location.hash.startsWith(CODE)) return false;
  const code = location.hash.slice(CODE.length);
  history.replaceState(null, "", location.pathname);
  const body = JSON.stringify({ code });
  const { response, answer } = await send("/api/session", {
    method: "POST", body, headers: { "Content-Type": "application/json" },
  }, AbortSignal.timeout(TIMEOUT_MS));
  if (!response.ok) throw new Problem(answer);
  localStorage.setItem(KEPT, answer.key);
  return true;
}

/**
 * @param {string} uri @param {RequestInit} options @param {AbortSignal} signal
 * @returns {Promise<{response: Response, answer: any}>}
 */
async function send(uri, options, signal) {
  try {
    const response = await fetch(uri, { ...options, signal });
    return { response, answer: await response.json() };
  } catch {
    if (signal.aborted && /** @type {Error} */ (signal.reason)?.name === "TimeoutError") throw problem("slow");
    signal.throwIfAborted();
    throw problem("gone");
  }
}

/**
 * Ask the server, and check that it is the console that answers.
 * @param {string} method
 * @param {string} path from /api/ on
 * @param {object} [body] for what is not a GET
 * @param {{signal?: AbortSignal, timeout?: number}} [options] timeout in milliseconds
 * @returns {Promise<any>} its answer
 * @throws {Problem}
 */
export async function ask(method, path, body, { signal, timeout = TIMEOUT_MS } = {}) {
  const uri = `/api/${path}`, nonce = hex(crypto.getRandomValues(new Uint8Array(16)));
  const signature = await mac(`request\n${method}\n${uri}\n${nonce}`);
  const limit = AbortSignal.timeout(timeout);
  const { response, answer } = await send(uri, {
    method,
    headers: {
      "X-Console-Nonce": nonce,
      "X-Console-Signature": signature,
      ...(body && { "Content-Type": "application/json" }),
    },
    body: body && JSON.stringify(body),
  }, signal ? AbortSignal.any([signal, limit]) : limit);
  if (response.headers.get("X-Console-Proof") !== await mac(`answer\n${nonce}`)) {
    throw problem(response.status === 403 && answer.kind === "key" ? "key" : "impostor");
  }
  if (!response.ok) throw new Problem(answer);
  return answer;
}

/** @param {string} path @param {Record<string, string|number>} [query] @param {AbortSignal} [signal] */
export const get = (path, query, signal) =>
  ask("GET", query ? `${path}?${new URLSearchParams(/** @type {any} */ (query))}` : path, undefined, { signal });

/** Escape a part of a path. */
export const part = encodeURIComponent;
