// The pipeline, drawn from left to right.
import { byId, clock, count, el, number, say } from "./dom.js";

export const PROCESS = "ProcessKinesisRecords";
const AGGREGATE = "AggregateScoresByUser";

/** Nodes and arrows by turns: what a node is, and what goes over an arrow. */
const PARTS = [
  { node: "stream", kind: "Kinesis stream" },
  { arrow: "read", what: "read" },
  { node: PROCESS, kind: "Function" },
  { arrow: "stored", what: "stored" },
  { node: "GameScoreRecords", kind: "Table" },
  { arrow: "changes", what: "changes" },
  { node: AGGREGATE, kind: "Function" },
  { arrow: "counted", what: "counted" },
  { node: "GameScoresByUser", kind: "Totals" },
  { arrow: "parked", what: "parked" },
  { node: "failures", kind: "Failure bucket" },
];

/** @type {Record<string, any>} the elements that change, by part and name */
const shown = {};

function draw() {
  byId("pipeline").replaceChildren(...PARTS.map((part) => {
    if (part.arrow) {
      const texts = (shown[part.arrow] = { li: null, rate: el("strong"), total: el("span") });
      texts.li = el("li", { className: "arrow", id: `arrow-${part.arrow}` }, texts.rate, el("span", { className: "line" }), texts.total);
      if (part.arrow === "parked") texts.li.classList.add("dashed");
      return texts.li;
    }
    const texts = (shown[part.node ?? ""] = { li: null, name: el("h3"), state: el("p", { className: "state" }), detail: el("p", { className: "quiet" }), more: el("p", { className: "quiet" }) });
    texts.li = el("li", { className: "node", id: `node-${part.node}` }, el("p", { className: "kind" }, part.kind), texts.name, texts.state, texts.detail, texts.more);
    return texts.li;
  }));
}

/** Set a name, which may break where a new word begins. @param {Element} where @param {string} name */
function setName(where, name) {
  if (where.textContent === name) return;
  where.replaceChildren(...name.split(/(?<=[a-z])(?=[A-Z])/).flatMap((word) => [word, el("wbr")]));
}

/** @param {any} texts @param {"good"|"bad"|"unknown"} how @param {string} state */
function setState(texts, how, state) {
  texts.li.dataset.how = how;
  // A sign besides the colour.
  say(texts.state, `${{ good: "✓", bad: "!", unknown: "?" }[how]} ${state}`);
}

/** @param {number|null} lag */
const lagText = (lag) => (lag === null ? "lag: not measured in 5 min" : `lag: ${number(lag / 1000, 1)} s`);

/**
 * @param {any} flow what /api/flow answers @param {any} outputs of Terraform
 */
export function showFlow(flow, outputs) {
  if (!byId("pipeline").firstChild) draw();
  const span = `${flow.window / 60} min`;
  for (const [name, arrow] of Object.entries(flow.arrows)) {
    const { li, rate, total } = shown[name];
    const what = PARTS.find((part) => part.arrow === name)?.what;
    say(rate, `${number(arrow.per_second, arrow.per_second < 10 ? 1 : 0)}/s`);
    say(total, `${number(arrow.count)} ${what} in ${span}`);
    li.classList.toggle("moving", arrow.per_second > 0);
  }
  const bucket = flow.failures;
  say(shown.parked.rate, number(bucket.parked_lately));
  say(shown.parked.total, `parked by either function in ${span}`);

  const names = { stream: outputs.stream.name, failures: outputs.failure_bucket };
  for (const [lab, table] of Object.entries(outputs.tables)) names[lab] = table.name;
  for (const [lab, fn] of Object.entries(outputs.functions)) names[lab] = fn.name;
  for (const part of PARTS.filter((each) => each.node)) {
    const texts = shown[part.node ?? ""], name = names[part.node ?? ""];
    setName(texts.name, name);
    const resource = flow.resources[name];
    if (resource) {
      setState(texts, resource.state.toUpperCase() === "ACTIVE" ? "good" : "bad", resource.state.toLowerCase());
      say(texts.detail, resource.detail);
    }
    const mapping = flow.mappings[name];
    if (mapping) {
      const good = mapping.state === "Enabled";
      if (!good) setState(texts, "bad", resource?.state.toLowerCase() ?? "unknown");
      say(texts.more, `mapping ${good ? "" : "! "}${mapping.state.toLowerCase()}, ${lagText(mapping.lag_ms)}`);
    }
  }
  const waiting = bucket.parked + bucket.discarded;
  setState(shown.failures, waiting ? "bad" : "good", waiting ? "failures wait" : "nothing waits");
  say(shown.failures.detail, `${count(bucket.parked, "parked record")}, ${number(bucket.discarded)} discarded ${bucket.discarded === 1 ? "batch" : "batches"}`);

  const verdict = byId("verdict");
  verdict.dataset.state = flow.state;
  say(verdict, { flowing: "● Flowing", idle: "○ Idle: nothing comes in", blocked: "■ Blocked" }[flow.state] ?? "");
  const reasons = flow.reasons.join("\n");
  if (byId("reasons").dataset.reasons !== reasons) {
    byId("reasons").dataset.reasons = reasons;
    byId("reasons").replaceChildren(...flow.reasons.map((/** @type {string} */ reason) => el("li", {}, reason)));
  }
  say(byId("looked"), `as of ${clock(flow.at)}${flow.delayed ? "; CloudWatch counts arrive a minute or two late" : ""}`);
  /** @type {Record<string, number>} */
  const states = {};
  for (const alarm of flow.alarms) states[alarm.state] = (states[alarm.state] ?? 0) + 1;
  const alarms = Object.entries(states).map(([state, count]) => `${count} ${state}`).join(", ");
  say(byId("alarms"), `Alarms: ${alarms || "this stage has none"}`);
}
