// Lines over time or over anything else, as SVG; read by pointer, by arrow keys, and as a table.

import { h } from "./dom.js";
import { clock, day, moment, number, t } from "./words.js";

const WIDTH = 560;
const LEFT = 58;
const BOTTOM = 22;
const TOP = 8;
const FEWEST = 12; // points that a chart over time has, however little there is to show
const STEPS = [20, 60, 120, 300, 600, 1800, 3600, 3600 * 4, 86400, 86400 * 5]; // s between labels
const cursors = new Map(); // of each chart, by its key: survives a redraw

// About `count` round numbers from low to high.
export function ticks(low, high, count = 4) {
  const raw = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 2.5, 5, 10].map((n) => n * power).find((n) => n >= raw * 0.999);
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9) * step; at <= high + step * 1e-6; at += step) found.push(Number(at.toFixed(9)));
  return { found, digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9) + (step / power === 2.5 ? 1 : 0)) };
}

// A frame with axes: `x`, `y` place a value; `axes` draws them.
export function frame({ xs, ys, height = 200, width = WIDTH }) {
  const [low, high] = ys;
  const x = (value) => LEFT + (value - xs[0]) / (xs[1] - xs[0] || 1) * (width - LEFT - 8);
  const y = (value) => TOP + (high - value) / (high - low || 1) * (height - TOP - BOTTOM);
  return { x, y, width, height, left: LEFT, right: width - 8, top: TOP, bottom: height - BOTTOM, ys, xs };
}

export function horizontal(f, unit) {
  const { found, digits } = ticks(...f.ys);
  return h("g", { class: "axis" }, found.map((value, n) => [
    h("line", { x1: f.left, x2: f.right, y1: f.y(value).toFixed(1), y2: f.y(value).toFixed(1) }),
    h("text", { x: f.left - 6, y: (f.y(value) + 4).toFixed(1), "text-anchor": "end" },
      number(value, digits) + (n === found.length - 1 ? `\u202f${unit}` : ""))]));
}

export function vertical(f, labels) {
  return h("g", { class: "axis" }, labels.filter(([value]) => f.x(value) < f.right - 6).map(([value, text]) => [
    h("line", { x1: f.x(value).toFixed(1), x2: f.x(value).toFixed(1), y1: f.bottom, y2: f.bottom + 4 }),
    h("text", { x: f.x(value).toFixed(1), y: f.height - 5, "text-anchor": "middle" }, text)]));
}

// A path through the points [x, y]; a gap where y is null.
export function path(f, points) {
  let pen = "M";
  return points.map(([x, y]) => {
    if (y === null || y === undefined) { pen = "M"; return ""; }
    const step = `${pen}${f.x(x).toFixed(1)} ${f.y(y).toFixed(1)}`;
    pen = "L";
    return step;
  }).join("");
}

// The same with a step from each point to the next, and an area between two rows of values.
function area(f, times, low, high) {
  const up = [], down = [], parts = [];
  const flush = () => { if (up.length) parts.push(`M${up.join("L")}L${down.reverse().join("L")}Z`); up.length = down.length = 0; };
  times.forEach((at, n) => {
    if (low[n] === null || high[n] === null) return flush();
    up.push(`${f.x(at).toFixed(1)} ${f.y(high[n]).toFixed(1)}`);
    down.push(`${f.x(at).toFixed(1)} ${f.y(low[n]).toFixed(1)}`);
  });
  flush();
  return parts.join("");
}

export function range(rows, least, floor = -Infinity) {
  const known = rows.flat().filter((value) => value !== null && value !== undefined);
  if (!known.length) return null;
  let low = Math.min(...known), high = Math.max(...known);
  const more = Math.max(least - (high - low), (high - low) * 0.12) / 2;
  return [Math.max(floor, low - more), high + more];
}

function timeLabels(start, end) {
  const step = STEPS.find((s) => (end - start) / s <= 6.01) ?? 86400 * 7;
  const offset = new Date(start * 1000).getTimezoneOffset() * 60;
  const found = [];
  for (let at = Math.ceil((start - offset) / step) * step + offset; at < end; at += step) found.push([at, step >= 86400 ? day(at) : clock(at, step < 60)]);
  return found;
}

// A chart over time.  series: [{name, text, values, low, high, class}]; bands: [{from, to, class, text}].
export function timeChart({ key, title, unit, digits, start: first, step, series: whole, bands = [], least = 1, floor = -Infinity, redraw }) {
  const skipped = Math.max(0, Math.min(whole[0].values.length - FEWEST, firstKnown(whole) - 1));
  const [start, series] = [first + skipped * step, whole.map((s) => cut(s, skipped))];
  const times = series[0].values.map((_, n) => start + (n + 0.5) * step);
  const ys = range(series.flatMap((s) => [s.values, s.low ?? [], s.high ?? []]), least, floor);
  if (!ys) return h("figure", { class: "card chart", "data-key": key }, h("figcaption", {}, title), h("p", { class: "muted" }, t("nothing_yet")));
  const end = start + step * times.length;
  const f = frame({ xs: [start, end], ys });
  const cursor = cursors.get(key);
  const at = cursor === undefined ? null : Math.min(times.length - 1, cursor);
  const put = (n) => { n === null ? cursors.delete(key) : cursors.set(key, Math.max(0, Math.min(times.length - 1, n))); redraw(); };
  const read = (n) => `${moment(times[n])}: ${series.map((s) => `${s.text} ${value(s.values[n])}`).join(", ")}`;
  const value = (v) => (v === null ? t("unknown") : `${number(v, digits)}\u202f${unit}`);
  const picture = h("svg", {
    viewBox: `0 0 ${f.width} ${f.height}`, role: "img", tabindex: 0,
    "aria-label": `${title}. ${read(lastKnown(series))}. ${t("arrow_keys")}`,
    onpointermove: (event) => {
      const box = event.currentTarget.getBoundingClientRect();
      put(Math.floor(((event.clientX - box.left) / box.width * f.width - f.left) / (f.right - f.left) * times.length));
    },
    onpointerleave: () => put(null), onblur: () => put(null),
    onkeydown: (event) => {
      const go = { ArrowLeft: -1, ArrowRight: 1, PageUp: -20, PageDown: 20 }[event.key];
      if (go) { event.preventDefault(); put((at ?? lastKnown(series)) + go); }
    },
  },
    h("g", { class: "bands" }, bands.filter((band) => band.to > start).map((band) => h("rect", { class: `band ${band.class}`, x: f.x(Math.max(start, band.from)).toFixed(1), y: f.top,
      width: (f.x(band.to) - f.x(Math.max(start, band.from))).toFixed(1), height: f.bottom - f.top }, h("title", {}, band.text)))),
    horizontal(f, unit), vertical(f, timeLabels(start, end)),
    series.filter((s) => s.low).map((s) => h("path", { class: `spread ${s.class}`, d: area(f, times, s.low, s.high) })),
    series.map((s) => h("path", { class: `curve ${s.class}`, d: path(f, times.map((time, n) => [time, s.values[n]])) })),
    at !== null && h("line", { class: "cursor", x1: f.x(times[at]).toFixed(1), x2: f.x(times[at]).toFixed(1), y1: f.top, y2: f.bottom }));
  return h("figure", { class: "card chart", "data-key": key },
    h("figcaption", {}, h("b", {}, title), h("span", { class: "legend" }, series.map((s) => h("span", { class: s.class }, s.text)))),
    picture,
    h("p", { class: "readout" }, at === null ? read(lastKnown(series)) : read(at)),
    table(title, times, series, digits));
}

function firstKnown(series) {
  const firsts = series.map((s) => s.values.findIndex((v) => v !== null)).filter((n) => n >= 0);
  return firsts.length ? Math.min(...firsts) : 0;
}

const cut = (s, n) => ({ ...s, values: s.values.slice(n), low: s.low?.slice(n), high: s.high?.slice(n) });

function lastKnown(series) {
  const lasts = series.map((s) => s.values.findLastIndex((v) => v !== null));
  return Math.max(0, ...lasts);
}

function table(title, times, series, digits) {
  const every = Math.ceil(times.length / 24);
  const rows = times.map((at, n) => [at, n]).filter(([, n]) => n % every === every - 1 && series.some((s) => s.values[n] !== null));
  return h("details", {}, h("summary", {}, t("as_table")), h("div", { class: "scroll" }, h("table", {},
    h("caption", { class: "unseen" }, title),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, t("time")), series.map((s) => h("th", { scope: "col" }, s.text)))),
    h("tbody", {}, rows.map(([at, n]) => h("tr", {}, h("th", { scope: "row" }, moment(at)),
      series.map((s) => h("td", {}, number(s.values[n], digits)))))))));
}
