// What was: an hour, a day, a month; charge modes as bands behind.

import { timeChart } from "./chart.js";
import { h } from "./dom.js";
import { json, remember, remembered, t, title, word } from "./words.js";

const SPANS = ["10m", "1h", "24h", "30d"];
const AGAIN = { "10m": 3e3, "1h": 10e3, "24h": 60e3, "30d": 600e3 }; // ms until a plot is asked for again
const DIFFERENCE = "cell_difference/";
const STYLES = ["a", "high", "low", "third", "charge", "discharge"];
const kept = {}; // span -> {asked, data}
const CHARTS = [
  { key: "voltage", unit: "V", digits: 2, least: 0.4, lines: [["voltage", "a"], ["cvl", "cap"]] },
  { key: "current", unit: "A", digits: 1, least: 4, lines: [["current", "a"], ["ccl", "cap"], ["dcl", "cap two", -1]] },
  { key: "soc", unit: "%", digits: 1, least: 10, lines: [["soc", "a"]] },
  { key: "cell_extremes", unit: "V", digits: 3, least: 0.02, lines: [["max_cell", "high"], ["min_cell", "low"]] },
  { key: "apart", unit: "V", digits: 3, least: 0.01, floor: 0, lines: [] },
  { key: "temperature", unit: "°C", digits: 1, least: 4, lines: [["max_temperature", "high"], ["min_temperature", "low"]] },
];

// The points of a span; asks for them, and again when they are old, then calls `redraw`.
export function history(span, redraw) {
  const found = (kept[span] ??= { asked: -Infinity, data: null });
  if (performance.now() - found.asked > AGAIN[span]) {
    found.asked = performance.now();
    json(`api/history?span=${span}`).then((data) => { found.data = data; redraw(); }, () => {});
  }
  return found.data;
}

export function plots(state, redraw) {
  const span = SPANS.includes(remembered("span")) ? remembered("span") : "1h";
  const data = history(span, redraw);
  return h("div", {},
    h("div", { class: "choice", role: "group", "aria-label": t("span") }, SPANS.map((name) =>
      h("button", { "aria-pressed": String(name === span), onclick: () => { remember("span", name); redraw(); } }, t(`span.${name}`)))),
    !data || !data.values.voltage
      ? h("p", { class: "card" }, t("nothing_yet"))
      : [modesLegend(data), h("div", { class: "grid charts" }, CHARTS.map((chart) => drawn(chart, data, redraw)))]);
}

// A line for each battery: how far its cells are apart.
const apart = (values) => Object.keys(values).filter((name) => name.startsWith(DIFFERENCE)).slice(0, STYLES.length)
  .map((name, n) => [name, STYLES[n], 1, name.slice(DIFFERENCE.length)]);

function drawn({ key, unit, digits, least, floor, lines }, { start, step, values, modes, span }, redraw) {
  const turned = (row, sign) => row?.map((v) => (v === null ? null : v * sign));
  const wanted = key === "apart" ? apart(values) : lines.filter(([name]) => values[name]);
  if (!wanted.length) return null;
  const series = wanted.map(([name, style, sign = 1, text = title(name)]) => ({
    text, class: style, values: turned(values[name].value, sign),
    ...(style.startsWith("cap") ? {} : { low: turned(values[name].low, sign), high: turned(values[name].high, sign) }) }));
  return timeChart({ key: `${key} ${span}`, title: word("plot", key), unit, digits, least, floor, start, step, series, redraw,
    bands: bands(values.charge_mode?.value ?? [], start, step, modes) });
}

// Stretches of one charge mode.
function bands(numbers, start, step, modes) {
  const found = [];
  numbers.forEach((number, n) => {
    if (number === null) return;
    const mode = modes[Math.round(number)], before = found.at(-1);
    if (before?.mode === mode && before.end === n) { before.end = n + 1; before.to = start + (n + 1) * step; }
    else found.push({ mode, end: n + 1, from: start + n * step, to: start + (n + 1) * step, class: mode, text: word("mode", mode) });
  });
  return found;
}

function modesLegend({ values, modes }) {
  const seen = [...new Set((values.charge_mode?.value ?? []).filter((n) => n !== null).map((n) => modes[Math.round(n)]))];
  return h("p", { class: "legend modes" }, `${title("charge_mode")}: `, seen.map((mode) => h("span", { class: `band ${mode}` }, word("mode", mode))));
}
