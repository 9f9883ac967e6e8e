// Every cap of every rule, and the curves with today's point on them.

import { frame, horizontal, path, ticks, vertical } from "./chart.js";
import { h } from "./dom.js";
import { json, number, show, t, title, word } from "./words.js";

let curves = null;
let asked = -Infinity;
const INPUTS = { // what of a battery a curve is read at, by direction
  cell_voltage: { charge: ["max_cell"], discharge: ["min_cell"], unit: "V", digits: 2 },
  temperature: { charge: ["min_temperature", "max_temperature"], discharge: ["min_temperature", "max_temperature"], unit: "°C", digits: 0 },
  mosfet_temperature: { charge: ["mosfet_temperature"], discharge: ["mosfet_temperature"], unit: "°C", digits: 0 },
  soc: { charge: ["soc"], discharge: ["soc"], unit: "%", digits: 0 },
};

export function why(state, redraw) {
  if (performance.now() - asked > 60e3) {
    asked = performance.now();
    json("api/curves").then((data) => { curves = data; redraw(); }, () => {});
  }
  if (!state.limits.length) return h("p", { class: "card" }, state.waiting);
  return h("div", { class: "stack" },
    state.limits.map((limit) => caps(limit, state.bank[`${limit.key}_caps`])),
    state.bank.waiting && h("section", { class: "card" }, h("h2", {}, t("waits_for")), h("p", {}, state.bank.waiting)),
    curves && Object.entries(curves).map(([name, lines]) => family(name, lines, state)));
}

function caps(limit, every) {
  const binds = (cap) => limit.binding.some((one) => one.rule === cap.rule && one.value === cap.value && one.why === cap.why);
  const lifting = limit.binding.map((cap) => cap.lifting).filter(Boolean);
  return h("section", { class: "card", "data-key": limit.key },
    h("div", { class: "line" }, h("h2", {}, title(limit.key)), h("b", { class: "big" }, show(limit.key, limit.value))),
    [...new Set(lifting)].map((text) => h("p", { class: "because" }, text)),
    h("div", { class: "scroll" }, h("table", { class: "caps", role: "table" }, h("caption", { class: "unseen" }, title(`${limit.key}_caps`)),
      h("thead", {}, h("tr", {}, ["", limit.unit, t("rule"), t("about"), t("because"), t("setting")].map((name, n) => h("th", { scope: "col", class: n === 1 ? "number" : null }, name)))),
      h("tbody", {}, every.map((cap) => h("tr", { class: binds(cap) ? "binds" : "", role: "row" },
        [[binds(cap) ? t("binds") : ""], [`${number(cap.value, 2)}`, "number"], [word("rule", cap.rule)], [cap.battery || t("bank")], [cap.why, "text"],
          [h("code", {}, cap.setting)]].map(([text, style]) => h("td", { class: style, role: "cell" }, text))))))));
}

function family(name, lines, state) {
  const own = state.batteries.filter((battery) => battery.control && (name ? battery.name.split("/")[0] === name : !(battery.name.split("/")[0] in curves)));
  return h("section", { "aria-label": t("curves") }, h("h2", {}, name ? `${t("curves")}: ${name}` : t("curves")), h("p", { class: "muted" }, t("curves_note")),
    h("div", { class: "grid four" }, lines.filter((line) => line.enabled).map((line) => curve(line, own))));
}

function curve({ setting, input, way, line }, batteries) {
  const { unit, digits, [way]: inputs } = INPUTS[input];
  const most = Math.max(...line.map(([, amps]) => amps), 1);
  const f = frame({ xs: [line[0][0], line.at(-1)[0]], ys: [0, most * 1.08], height: 150, width: 330 });
  const points = batteries.flatMap((battery) => inputs.map((name) => [battery.name, battery[name]])).filter(([, at]) => at !== null && at !== undefined);
  const words = points.map(([name, at]) => `${name}: ${number(at, digits + 1)}\u202f${unit} → ${number(amps(line, at), 1)}\u202fA`);
  return h("figure", { class: "card chart small", "data-key": setting },
    h("figcaption", {}, h("b", {}, `${word("way", way)}, ${word("input", input)}`)),
    h("svg", { viewBox: `0 0 ${f.width} ${f.height}`, role: "img", "aria-label": words.join("; ") || setting },
      horizontal(f, "A"), vertical(f, ticks(f.xs[0], f.xs[1], 4).found.map((at) => [at, number(at, digits)])),
      h("path", { class: `curve ${way}`, d: path(f, line) }),
      points.map(([name, at], n) => h("circle", { class: "today", cx: f.x(Math.max(f.xs[0], Math.min(f.xs[1], at))).toFixed(1), cy: f.y(amps(line, at)).toFixed(1), r: 5 }, h("title", {}, words[n])))),
    h("p", { class: "readout" }, words.slice(0, 3).join("; ") + (words.length > 3 ? " …" : "")), h("code", {}, setting));
}

// A on the line at x.
function amps(line, x) {
  if (x <= line[0][0]) return line[0][1];
  const next = line.findIndex(([at]) => at >= x);
  if (next < 0) return line.at(-1)[1];
  const [[x0, y0], [x1, y1]] = [line[next - 1], line[next]];
  return y0 + (x1 === x0 ? 1 : (x - x0) / (x1 - x0)) * (y1 - y0);
}
