// Asking again and again: one loop, with cancelling, the age of what is shown, and errors.
import { Problem } from "./api.js";

const STALE_MS = 10_000;
const TICK_MS = 500;

/** @type {Set<{tick: () => void}>} */
const polls = new Set();
setInterval(() => polls.forEach((each) => each.tick()), TICK_MS);

/**
 * Repeat `work` while the page is looked at and `wanted`; the next time begins when the last is over.
 * `work` returns how old what it has shown is, in ms; nothing means that it is of now.
 * What is shown turns stale 10 seconds after it was seen, or 5 after it should have been renewed.
 * @param {{
 *   seconds: number | (() => number),
 *   wanted: () => boolean,
 *   work: (signal: AbortSignal) => Promise<number|void>,
 *   renewed?: () => number,
 *   failed: (error: Problem|null) => void,
 *   stale?: (isStale: boolean) => void,
 * }} options `failed` gets null after a success; `renewed` is after how many seconds there is something newer to
 *   show, if not at each time
 */
export function poll({ seconds, wanted, work, renewed, failed, stale }) {
  /** @type {AbortController|null} */
  let running = null;
  /** @type {number} */
  let timer = 0, wasWanted = false, since = Date.now();
  const wait = () => 1000 * (typeof seconds === "number" ? seconds : seconds());

  async function run() {
    clearTimeout(timer);
    if (running) return;
    const mine = running = new AbortController();
    try {
      if (!document.hidden && wanted()) {
        const age = await work(mine.signal);
        if (mine.signal.aborted) return;
        since = Date.now() - (age ?? 0);
        failed(null);
      }
    } catch (error) {
      if (mine.signal.aborted) return;
      if (!(error instanceof Problem)) throw error;
      failed(error);
    } finally {
      if (running === mine) {
        running = null;
        timer = setTimeout(run, wait());
      }
    }
  }

  /** Ask now; an answer that is under way is not shown. */
  function restart() {
    running?.abort();
    running = null;
    run();
  }

  polls.add({
    tick() {
      const is = wanted();
      if (is && !wasWanted) since = Date.now();
      wasWanted = is;
      if (!stale || !is) return;
      stale(Date.now() - since > Math.max(STALE_MS, wait() + 1000 * (renewed?.() ?? 0) + STALE_MS / 2));
    },
  });
  document.addEventListener("visibilitychange", () => !document.hidden && restart());
  run();
  return { restart };
}
