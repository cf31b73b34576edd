// The pipeline as a diagram, its verdict, and the reasons for it.
import { byId, clock, count, el, number, say } from "./dom.js";

export const PROCESS = "ProcessKinesisRecords";
const AGGREGATE = "AggregateScoresByUser";
const RUNBOOK = "/runbook#";
const MARKS = { good: "✓", bad: "!", warn: "!", unknown: "?" };
const STATES = {
  blocked: "■ Blocked", failing: "✗ Failing", behind: "▲ Behind", flowing: "● Flowing", idle: "○ Idle",
};

/** @typedef {"good"|"bad"|"warn"|"unknown"} How */

/** What the diagram consists of; the style sheet places each by its id. */
const PARTS = [
  { node: "stream", kind: "Kinesis stream", href: "#stream" },
  { arrow: "read", what: "read" },
  { node: PROCESS, kind: "Function", href: `#functions/${PROCESS}` },
  { arrow: "stored", what: "stored" },
  { node: "GameScoreRecords", kind: "Table", href: "#tables/GameScoreRecords" },
  { arrow: "changes", what: "changes" },
  { node: AGGREGATE, kind: "Function", href: `#functions/${AGGREGATE}` },
  { arrow: "counted", what: "counted" },
  { node: "GameScoresByUser", kind: "Totals", href: "#tables/GameScoresByUser" },
  { node: "GameScoreLedger", kind: "Ledger", href: "#tables/GameScoreLedger" },
  { arrow: "parked-process", what: "parked", branch: true },
  { arrow: "parked-aggregate", what: "parked", branch: true },
  { node: "failures", kind: "Failure bucket", href: "#failures" },
];

/** What else is deployed, beside the diagram: functions and tables that were added to it. @type {typeof PARTS} */
let others = [];
/** @type {Record<string, any>} the elements that change, by part and name */
const shown = {};

/** @param {{node?: string, arrow?: string, kind?: string, href?: string, branch?: boolean}} part */
function draw(part) {
  if (part.arrow) {
    const texts = shown[part.arrow] = {
      rate: el("strong"), total: el("span"), li: null,
      spark: el("span", { className: "spark" }),
    };
    const line = el("span", { className: "line" }, el("span", { className: "dashes" }));
    texts.li = el("li", { className: `arrow${part.branch ? " branch" : ""}`, id: `arrow-${part.arrow}` },
      el("span", { className: "rates" }, texts.rate, texts.spark), line, texts.total);
    return texts.li;
  }
  const texts = shown[part.node ?? ""] = {
    name: el("a", { href: part.href }), state: el("p", { className: "state" }), li: null,
    detail: el("p", { className: "quiet detail" }), more: el("p", { className: "quiet more" }),
  };
  texts.li = el("li", { className: "node", id: `node-${part.node}` },
    el("p", { className: "kind" }, part.kind), el("h3", {}, texts.name), texts.state, texts.detail, texts.more);
  return texts.li;
}

/** Set a name, which may break where a new word begins. @param {Element} where @param {string} name */
function setName(where, name) {
  if (where.textContent === name) return;
  where.replaceChildren(...name.split(/(?<=[a-z])(?=[A-Z])/).flatMap((word) => [word, el("wbr")]));
}

/** @param {any} texts @param {How} how @param {string} state */
function setState(texts, how, state) {
  texts.li.dataset.how = how;
  say(texts.state, `${MARKS[how]} ${state}`); // a sign besides the colour
}

/**
 * Draw a line of what went over an arrow.
 * @param {Element} where @param {[number, number][]} points @param {number} period
 */
function drawSpark(where, points, period) {
  const WIDTH = 60, HEIGHT = 14, most = Math.max(...points.map(([, value]) => value), 0);
  const text = JSON.stringify(points);
  if (where.getAttribute("data-points") === text) return;
  where.setAttribute("data-points", text);
  where.replaceChildren();
  if (!most || points.length < 2) return;
  const first = points[0][0], span = Math.max(points[points.length - 1][0] - first, period);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", points.map(([at, value], index) => {
    const x = ((at - first) / span) * WIDTH, y = HEIGHT - 1 - (value / most) * (HEIGHT - 2);
    // Where nothing was seen there is a gap.
    const joined = index && at - points[index - 1][0] <= period * 1.5;
    return joined ? `L${x.toFixed(1)},${y.toFixed(1)}` : `M${x.toFixed(1)},${y.toFixed(1)}h.5`;
  }).join(""));
  svg.append(path);
  where.append(svg);
}

/** @param {any} fn see verdict.py */
function lagText(fn) {
  if (fn.lag_ms === null) return "lag: nothing delivered lately";
  const waiting = fn.waiting ? `, at least ${count(fn.waiting, "record")} waiting` : backlogText(fn);
  return `lag ${number(fn.lag_ms / 1000, 1)} s${waiting}`;
}

/** @param {any} fn see verdict.py */
const backlogText = (fn) =>
  (fn.backlog === null ? ", backlog not known" : `, backlog about ${count(fn.backlog, "record")}`);

/** @param {any} outputs of Terraform */
function drawParts(outputs) {
  if (!byId("pipeline").firstChild) byId("pipeline").replaceChildren(...PARTS.map(draw));
  const added = [["Function", "functions"], ["Table", "tables"]].flatMap(([kind, output]) =>
    Object.keys(outputs[output]).filter((lab) => !PARTS.some((part) => part.node === lab))
      .map((lab) => ({ node: lab, kind, href: `#${output}/${lab}` })));
  if (JSON.stringify(added) === JSON.stringify(others)) return;
  others = added;
  byId("others").replaceChildren(...others.map(draw));
  byId("others").hidden = !others.length;
}

/** @param {any} flow what /api/flow answers @param {any} outputs of Terraform */
export function showFlow(flow, outputs) {
  drawParts(outputs);
  const span = `${flow.window / 60} min`;
  for (const { arrow: name = "", what } of PARTS.filter((part) => part.arrow)) {
    const { li, rate, total, spark } = shown[name], arrow = flow.arrows[name];
    say(rate, `${number(arrow.per_second, arrow.per_second < 10 ? 1 : 0)}/s`);
    say(total, `${number(arrow.count)} ${what} in ${span}`);
    drawSpark(spark, arrow.spark, arrow.period);
    li.classList.toggle("moving", arrow.per_second > 0);
    li.classList.toggle("some", arrow.count > 0);
  }
  showNodes(flow, outputs);
  showVerdict(flow);
}

/** @param {any} flow @param {any} outputs */
function showNodes(flow, outputs) {
  /** @type {Record<string, string>} */
  const names = { stream: outputs.stream.name, failures: outputs.failure_bucket };
  for (const [lab, table] of Object.entries(outputs.tables)) names[lab] = /** @type {any} */ (table).name;
  for (const [lab, fn] of Object.entries(outputs.functions)) names[lab] = /** @type {any} */ (fn).name;
  for (const { node = "" } of [...PARTS, ...others].filter((part) => part.node)) {
    const texts = shown[node], reasons = flow.reasons.filter((/** @type {any} */ reason) => reason.node === node);
    setName(texts.name, names[node] ?? node);
    const resource = flow.resources[names[node]], fn = flow.functions[node];
    const state = node === "failures" ? waitingText(flow.failures) : resource?.state.toLowerCase() ?? "not known";
    const worst = reasons[0]?.state;
    /** @type {How} */
    const how = worst ? "bad" : reasons.length ? "warn" : resource || node === "failures" ? "good" : "unknown";
    setState(texts, how, worst && worst !== "blocked" ? worst : state);
    say(texts.detail, resource?.detail ?? "");
    if (fn) say(texts.more, `mapping ${fn.mapping.toLowerCase()}, ${lagText(fn)}`);
  }
}

/** @param {{parked: number, discarded: number}} failures */
function waitingText({ parked, discarded }) {
  if (!parked && !discarded) return "empty";
  const batches = discarded === 1 ? "discarded batch" : "discarded batches";
  return `${count(parked, "parked record")}, ${number(discarded)} ${batches}`;
}

/** Nothing more than is known. @param {any} flow */
function idleText(flow) {
  if (flow.functions[PROCESS].arrived === null) return "nothing is delivered";
  return flow.arrows.read.count ? "what came in lately may not be counted as delivered yet" : "nothing comes in";
}

/** @param {any} flow */
function showVerdict(flow) {
  const verdict = byId("verdict");
  verdict.dataset.state = flow.state;
  const idle = flow.state === "idle" ? `: ${idleText(flow)}` : "";
  say(verdict, STATES[/** @type {keyof typeof STATES} */ (flow.state)] + idle);
  const reasons = JSON.stringify(flow.reasons);
  if (byId("reasons").dataset.reasons !== reasons) {
    byId("reasons").dataset.reasons = reasons;
    byId("reasons").replaceChildren(...flow.reasons.map(reasonItem));
  }
  const late = flow.delayed ? "; CloudWatch counts arrive a minute or two late" : "";
  say(byId("looked"), `as of ${clock(flow.at)}${late}`);
  /** @type {Record<string, number>} */
  const states = {};
  for (const alarm of flow.alarms) states[alarm.state] = (states[alarm.state] ?? 0) + 1;
  const alarms = Object.entries(states).map(([state, number]) => `${number} ${state}`).join(", ");
  say(byId("alarms"), `Alarms: ${alarms || "this stage has none"}`);
}

/** @param {any} reason see verdict.py */
function reasonItem(reason) {
  const subject = reason.panel === "functions" || reason.panel === "tables" ? `/${reason.node}` : "";
  return el("li", { className: reason.state ?? "note" },
    el("a", { href: `#${reason.panel}${subject}` }, reason.text), " ",
    el("a", { className: "quiet", href: RUNBOOK + reason.runbook, target: "_blank", rel: "noopener" },
      `Runbook: ${reason.runbook}`));
}
