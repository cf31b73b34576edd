// Work that the server does in the background, which is looked at until it has ended.
import { get } from "./api.js";

const EVERY_MS = 700;

/**
 * Look at a job until it has ended.
 * @param {string} path @param {(job: any) => void} show is called with each look
 */
export async function untilOver(path, show) {
  for (;;) {
    const job = await get(path);
    show(job);
    if (job.state !== "running") {
      if (job.state === "failed") throw new Error(job.result.message);
      return job;
    }
    await new Promise((resolve) => setTimeout(resolve, EVERY_MS));
  }
}
