// What runs on the server in the background, and is looked at until it is over.
import { get } from "./api.js";

const EVERY_MS = 700;

/**
 * Look at a job until it is over.
 * @param {string} path @param {(job: any) => void} show is told of each look
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
