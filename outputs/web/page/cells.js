// Each cell of each battery: bars, who is balanced, and how far they were apart.

import { frame, horizontal, range, timeChart } from "./chart.js";
import { h } from "./dom.js";
import { history } from "./plots.js";
import { duration, number, show, t, title, word } from "./words.js";

export function cells(state, redraw) {
  const past = history("24h", redraw);
  const known = state.batteries.filter((battery) => battery.cell_voltages?.length);
  if (!known.length) return h("p", { class: "card" }, t("no_cells"));
  return h("div", { class: "stack" }, known.map((battery) => one(battery, past, redraw)));
}

function one(battery, past, redraw) {
  const silent = battery.health !== "online";
  const apart = past?.values[`cell_difference/${battery.name}`];
  return h("section", { class: `card ${silent ? "silent" : ""}`, "data-key": battery.name },
    h("div", { class: "line" }, h("h2", {}, battery.name), h("span", { class: `pill ${silent ? "warning" : "soft"}` }, word("health", battery.health))),
    silent && battery.age !== null && h("p", { class: "because" }, t("silent_for", { age: duration(battery.age) })),
    h("dl", { class: "facts" }, ["max_cell", "min_cell", "cell_difference", "voltage"].map((name) =>
      h("div", {}, h("dt", {}, title(name)), h("dd", {}, show(name, battery[name]))))),
    sensors(battery),
    h("div", { class: "grid" },
      h("figure", { class: "card chart" }, h("figcaption", {}, h("b", {}, t("each_cell")), legend(battery)), bars(battery),
        h("details", {}, h("summary", {}, t("as_table")), table(battery))),
      apart && timeChart({ key: `apart ${battery.name}`, title: t("apart"), unit: "V", digits: 3, least: 0.01, floor: 0, start: past.start,
        step: past.step, series: [{ text: title("cell_difference"), class: "a", values: apart.value, low: apart.low, high: apart.high }], redraw })));
}

function bars(battery) {
  const volts = battery.cell_voltages;
  const ys = range([volts], 0.024);
  if (!ys) return h("p", { class: "muted" }, t("unknown"));
  const f = frame({ xs: [0, volts.length], ys, height: 200, width: Math.max(560, 20 * volts.length + 70) });
  const wide = (f.right - f.left) / volts.length;
  const words = volts.map((v, n) => `${n + 1}: ${show("max_cell", v)}${battery.cell_balancing?.[n] ? ` (${t("balancing")})` : ""}`);
  return h("div", { class: "scroll" }, h("svg", { viewBox: `0 0 ${f.width} ${f.height}`, class: "bars", role: "img", "aria-label": words.join(", ") },
    horizontal(f, "V"),
    volts.map((v, n) => h("g", {},
      v !== null && h("rect", { class: kind(battery, n), x: (f.x(n) + wide * 0.14).toFixed(1), width: (wide * 0.72).toFixed(1),
        y: f.y(v).toFixed(1), height: Math.max(1, f.bottom - f.y(v)).toFixed(1), rx: 2 }, h("title", {}, words[n])),
      battery.cell_balancing?.[n] && h("text", { x: (f.x(n) + wide / 2).toFixed(1), y: (f.y(v) - 4).toFixed(1), "text-anchor": "middle", class: "mark" }, "⇣"),
      h("text", { x: (f.x(n) + wide / 2).toFixed(1), y: f.height - 6, "text-anchor": "middle" }, String(n + 1))))));
}

function legend(battery) {
  return h("span", { class: "legend" }, h("span", { class: "high" }, title("max_cell")), h("span", { class: "low" }, title("min_cell")),
    battery.cell_balancing?.some(Boolean) && h("span", { class: "balancing" }, `⇣ ${t("balancing")}`));
}

// How a cell is marked: balanced, the highest, the lowest, or not at all.
export function kind(battery, n) {
  const here = `${battery.name}:${n + 1}`;
  if (battery.cell_balancing?.[n]) return "balancing";
  if (battery.max_cell === battery.min_cell) return "";
  return here === battery.max_cell_place ? "high" : here === battery.min_cell_place ? "low" : "";
}

function sensors({ temperatures = [], mosfet_temperature: mosfet }) {
  const every = (temperatures ?? []).map((value, n) => [`T${n + 1}`, value]);
  if (mosfet !== null) every.push(["MOSFET", mosfet]);
  return every.length > 0 && h("p", { class: "sensors" }, every.map(([name, value]) => h("span", { class: "pill soft" }, `${name} ${show("temperature", value)}`)));
}

function table(battery) {
  const row = (name, value, more) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, number(value, 3)), h("td", {}, more));
  return h("div", { class: "scroll" }, h("table", {}, h("caption", { class: "unseen" }, `${battery.name}: ${t("cells")}`),
    h("thead", {}, h("tr", {}, [t("cell"), "V", t("balancing")].map((name) => h("th", { scope: "col" }, name)))),
    h("tbody", {}, battery.cell_voltages.map((v, n) => row(String(n + 1), v, battery.cell_balancing?.length ? t(battery.cell_balancing[n] ? "yes" : "no") : "–")))));
}
