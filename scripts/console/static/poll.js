// Asking again and again: one loop, with cancelling, the age of what is shown, and errors.
import { Problem } from "./api.js";

const STALE_MS = 10_000;
const TICK_MS = 500;

/** @type {Set<{tick: () => void}>} */
const polls = new Set();
setInterval(() => polls.forEach((each) => each.tick()), TICK_MS);

/**
 * Repeat `work` while the page is looked at and `wanted`; the next time begins when the last is over.
 * What was shown before turns stale 10 seconds after it should have been renewed.
 * @param {{
 *   seconds: number | (() => number),
 *   wanted: () => boolean,
 *   work: (signal: AbortSignal) => Promise<void>,
 *   failed: (error: Problem|null) => void,
 *   stale?: (isStale: boolean, ageMs: number) => void,
 * }} options `failed` gets null after a success
 */
export function poll({ seconds, wanted, work, failed, stale }) {
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
        await work(mine.signal);
        if (mine.signal.aborted) return;
        since = Date.now();
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

  /** @param {number} ageMs what is shown was seen this long ago */
  function aged(ageMs) {
    since = Date.now() - ageMs;
  }

  polls.add({
    tick() {
      const is = wanted();
      if (is && !wasWanted) since = Date.now();
      wasWanted = is;
      if (!stale || !is) return;
      const age = Date.now() - since;
      stale(age > Math.max(STALE_MS, wait() + STALE_MS / 2), age);
    },
  });
  document.addEventListener("visibilitychange", () => !document.hidden && restart());
  run();
  return { restart, aged };
}
