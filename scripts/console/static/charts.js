// Charts of all metrics of both functions, drawn by uPlot.
import { get } from "./api.js";
import { byId, el, isOpen, moment, number, onOpen, say } from "./dom.js";
import { poll } from "./poll.js";
import uPlot from "./vendor/uplot/uPlot.esm.js";

const HEIGHT = 150;
const COLOURS = ["--accent", "--second", "--bad"];

/** @typedef {{figure: HTMLElement, plot: uPlot|null, values: HTMLElement, shape: string}} Chart */
/** @type {Map<string, Chart>} by metric */
const charts = new Map();

/** @param {string} name of a custom property */
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** @param {AbortSignal} signal */
async function draw(signal) {
  const range = byId("range").value;
  const { panels, functions, start, end, period } = await get("metrics", { since: range }, signal);
  const minutes = period / 60;
  const point = minutes === 1 ? "a minute" : `${number(minutes)} minutes`;
  say(byId("charts-note"), `${moment(start)} to ${moment(end)}; a point is ${point}`);
  for (const panel of panels) drawPanel(panel, functions, start, end, period);
  for (const [metric, chart] of charts) {
    if (panels.some((/** @type {any} */ panel) => panel.metric === metric)) continue;
    chart.plot?.destroy();
    chart.figure.remove();
    charts.delete(metric);
  }
}

/**
 * @param {{metric: string, title: string, series: Record<string, [number, number][]>}} panel
 * @param {string[]} functions @param {number} start @param {number} end @param {number} period
 */
function drawPanel({ metric, title, series }, functions, start, end, period) {
  const names = functions.filter((name) => series[name]?.length);
  const times = [...new Set(names.flatMap((name) => series[name].map(([at]) => at)))].sort((a, b) => a - b);
  // A line joins neighbours only: where nothing was measured there is a gap.
  const all = times.flatMap((at, index) =>
    (index && at - times[index - 1] > period * 1.5 ? [at - period / 2, at] : [at]));
  const columns = names.map((name) => {
    const values = new Map(series[name]);
    return all.map((at) => values.get(at) ?? null);
  });
  let chart = charts.get(metric);
  if (!chart) {
    const values = el("details", {}, el("summary", {}, "Values"));
    const figure = el("figure", { className: "chart" }, el("figcaption", {}, title), values);
    chart = { figure, plot: null, values, shape: "" };
    values.addEventListener("toggle", () => showValues(/** @type {Chart} */ (chart)));
    charts.set(metric, chart);
    byId("charts").append(figure);
  }
  const shape = names.join();
  if (chart.shape !== shape || !chart.plot) {
    chart.plot?.destroy();
    chart.plot = names.length ? make(chart.figure, chart.values, names, functions) : null;
    chart.shape = shape;
  }
  chart.figure.querySelector(".nothing")?.remove();
  if (!names.length) chart.values.before(el("p", { className: "quiet nothing" }, "Nothing was measured."));
  chart.values.hidden = !names.length;
  chart.plot?.setData(/** @type {any} */ ([all, ...columns]), false);
  chart.plot?.setScale("x", { min: start, max: end });
  chart.plot?.root.setAttribute("aria-label", summary(title, names, series));
  showValues(chart);
}

/**
 * @param {HTMLElement} figure @param {HTMLElement} before @param {string[]} names of the series
 * @param {string[]} functions all of them: each has its colour in every chart
 */
function make(figure, before, names, functions) {
  const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false } };
  const font = "11px system-ui, sans-serif";
  const plot = new uPlot({
    width: Math.max(200, figure.clientWidth), height: HEIGHT,
    cursor: { y: false, sync: { key: "charts" } },
    // An axis that ends at one has ticks at whole numbers, which counts are.
    scales: { x: { time: true }, y: { range: (_, __, most) => [0, Math.max(1, most * 1.1)] } },
    axes: [
      { ...axis, font, size: 28, space: 60, values: (_, ticks) => ticks.map((at) => time(at, ticks)) },
      { ...axis, font, size: 52, values: (_, ticks) => ticks.map(short) },
    ],
    series: [{}, ...names.map((name) => ({
      label: name, stroke: colour(COLOURS[functions.indexOf(name) % COLOURS.length]), width: 1.5,
      value: (/** @type {any} */ _, /** @type {number|null} */ value) =>
        (value === null ? "none" : number(value, value % 1 ? 1 : 0)),
      points: { size: 4 },
    }))],
  }, /** @type {any} */ ([[], ...names.map(() => [])]));
  plot.root.setAttribute("role", "img");
  before.before(plot.root);
  return plot;
}

/** @param {number} at @param {number[]} ticks */
const time = (at, ticks) => new Date(at * 1000).toLocaleString([], ticks[ticks.length - 1] - ticks[0] > 86_400
  ? { month: "2-digit", day: "2-digit" } : { hour: "2-digit", minute: "2-digit", hour12: false });

/** @param {number} value */
const short = (value) =>
  (value >= 10_000 ? `${number(value / 1000)} k` : number(value, value % 1 ? (value * 10 % 1 ? 2 : 1) : 0));

/** @param {Chart} chart */
function showValues({ plot, values, figure }) {
  if (!(/** @type {HTMLDetailsElement} */ (values).open) || !plot) return;
  const title = figure.querySelector("figcaption")?.textContent ?? "";
  const [times, ...columns] = plot.data;
  const items = [...times].map((at, index) => ({ at, text: columns.map((column, position) =>
    (column[index] == null ? ""
      : `${plot.series[position + 1].label} ${number(/** @type {number} */ (column[index]), 1)}`))
    .filter(Boolean).join(", ") })).filter(({ text }) => text);
  const lines = items.reverse().map(({ at, text }) => el("li", {}, `${moment(at)}: ${text}`));
  values.replaceChildren(el("summary", {}, "Values"), el("ul", { "aria-label": title }, ...lines));
}

/** @param {string} title @param {string[]} names @param {Record<string, [number, number][]>} series */
function summary(title, names, series) {
  if (!names.length) return `${title}: nothing was measured`;
  return `${title}. ` + names.map((name) => {
    const values = series[name].map(([, value]) => value);
    return `${name}: at most ${number(Math.max(...values), 1)}, last ${number(values[values.length - 1], 1)}`;
  }).join(". ");
}

const loop = poll({
  // CloudWatch has something new once a minute.
  seconds: () => (byId("endpoint").textContent === "AWS" ? 60 : 15),
  wanted: () => isOpen("functions") && document.body.classList.contains("ready"),
  work: draw,
  failed: (error) => say(byId("charts-error"), error?.message ?? ""),
  stale: (is) => byId("charts").classList.toggle("stale-part", is),
});

new ResizeObserver(() => {
  for (const { plot, figure } of charts.values()) {
    plot?.setSize({ width: Math.max(200, figure.clientWidth), height: HEIGHT });
  }
}).observe(byId("charts"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  for (const chart of charts.values()) chart.shape = "none";
  loop.restart();
});
byId("range").addEventListener("change", () => loop.restart());
onOpen("functions", () => loop.restart());
