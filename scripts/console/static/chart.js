// A line chart as SVG.
import { clock, el, moment, number } from "./dom.js";

const WIDTH = 320, HEIGHT = 130, LEFT = 46, BOTTOM = 18, TOP = 8;

/** @param {string} tag @param {Record<string, string|number>} attributes @param {...(Node|string)} children */
function svg(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...children);
  return made;
}

/** A round number not below the value. @param {number} value */
function ceiling(value) {
  const unit = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 5, 10].find((step) => step * unit >= value) ?? 10) * unit;
}

/**
 * @param {string} title @param {[number, number][]} points seconds since the epoch, and a value
 * @param {number} start @param {number} end @param {number} period seconds of a point
 */
export function chart(title, points, start, end, period) {
  const most = Math.max(...points.map(([, value]) => value), 0);
  const top = most > 0 ? ceiling(most) : 1;
  const x = (/** @type {number} */ at) => LEFT + ((Math.max(at, start) - start) / (end - start)) * (WIDTH - LEFT - 6);
  const y = (/** @type {number} */ value) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
  const whole = end - start > 86400 ? moment : clock;
  const drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": summary(title, points, most) });
  for (const share of [0, 0.5, 1]) {
    drawing.append(
      svg("line", { class: "rule", x1: LEFT, x2: WIDTH - 6, y1: y(top * share), y2: y(top * share) }),
      svg("text", { x: LEFT - 4, y: y(top * share) + 3, "text-anchor": "end" }, number(top * share, top < 2 && share % 1 ? 1 : 0)),
    );
  }
  drawing.append(
    svg("text", { x: LEFT, y: HEIGHT - 4 }, whole(start)),
    svg("text", { x: WIDTH - 6, y: HEIGHT - 4, "text-anchor": "end" }, whole(end)),
  );
  // A line joins neighbours only: where nothing was measured there is a gap.
  let path = "", before = -Infinity;
  for (const [at, value] of points) {
    path += `${at - before <= period * 1.5 ? "L" : "M"}${x(at).toFixed(1)},${y(value).toFixed(1)}`;
    before = at;
    if (points.length <= 90) drawing.append(svg("circle", { cx: x(at).toFixed(1), cy: y(value).toFixed(1), r: 1.8 }));
  }
  if (path) drawing.append(svg("path", { d: path }));
  return el("figure", { className: "chart" }, el("figcaption", {}, title), drawing, points.length ? values(title, points) : el("p", { className: "quiet" }, "Nothing was measured."));
}

/** @param {string} title @param {[number, number][]} points @param {number} most */
function summary(title, points, most) {
  if (!points.length) return `${title}: nothing was measured`;
  return `${title}: at most ${number(most, 1)}, last ${number(points[points.length - 1][1], 1)}`;
}

/** @param {string} title @param {[number, number][]} points */
function values(title, points) {
  const list = el("details", {}, el("summary", {}, "Values"));
  list.addEventListener("toggle", () => {
    if (list.open && list.childElementCount === 1) {
      list.append(el("ul", { "aria-label": title }, ...points.map(([at, value]) => el("li", {}, `${moment(at)}: ${number(value, 1)}`))));
    }
  });
  return list;
}
