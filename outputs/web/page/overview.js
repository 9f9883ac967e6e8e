// The bank at a glance: charge, limits with what binds them, alarms, batteries, outputs.

import { kind } from "./cells.js";
import { h } from "./dom.js";
import { duration, number, show, signed, t, title, word } from "./words.js";

export function overview(state) {
  if (!state.bank) return h("p", { class: "card wide" }, word("waiting", state.waiting || "starting"));
  const bank = state.bank;
  return h("div", { class: "grid" },
    state.waiting && h("p", { class: "card wide notice" }, state.waiting),
    bank.guard && h("p", { class: "card wide notice alarm" }, `${t("guard")} ${bank.guard}`),
    state.limits.length > 0 && h("div", { class: "stack glance" }, charge(bank), alarms(state)),
    state.limits.length > 0 && limits(state),
    h("section", { class: "wide", "aria-label": t("batteries") },
      h("h2", {}, t("batteries")),
      h("div", { class: "packs" }, state.batteries.map(pack))),
    outputs(state));
}

// ---- how full, and what flows

function charge(bank) {
  const flow = bank.power === null ? "unknown" : bank.power > 5 ? "charging" : bank.power < -5 ? "discharging" : "idle";
  const facts = [
    ["voltage", show("voltage", bank.voltage)], ["current", signed("current", bank.current)],
    ["remaining_capacity", show("remaining_capacity", bank.remaining_capacity)],
    ["temperature", show("temperature", bank.temperature)],
    ["cell_difference", show("cell_difference", bank.cell_difference)],
    ["time_to_go", duration(bank.time_to_go)],
  ];
  return h("section", { class: `card charge ${flow}`, "aria-label": title("soc") },
    ring(bank.soc),
    h("div", {},
      h("p", { class: "power" }, h("b", {}, power(bank.power)), " ", h("span", {}, t(`flow.${flow}`))),
      h("p", {}, h("span", { class: "pill" }, word("mode", bank.charge_mode)),
        bank.balancing && h("span", { class: "pill soft" }, title("balancing")),
        bank.heating && h("span", { class: "pill soft" }, title("heating")),
        bank.soc_reset && h("span", { class: "pill soft" }, title("soc_reset")))),
    h("dl", { class: "facts" }, facts.map(([name, text]) => [h("div", {}, h("dt", {}, title(name)), h("dd", {}, text))])));
}

function power(watts) {
  if (watts === null) return t("unknown");
  const large = Math.abs(watts) >= 1000;
  return `${number(Math.abs(large ? watts / 1000 : watts), large ? 2 : 0)}\u202f${large ? "kW" : "W"}`;
}

function ring(soc) {
  const around = 2 * Math.PI * 52;
  const part = soc === null ? 0 : Math.min(100, Math.max(0, soc)) / 100;
  return h("svg", { viewBox: "0 0 120 120", class: "ring", role: "img", "aria-label": `${title("soc")} ${show("soc", soc)}` },
    h("circle", { cx: 60, cy: 60, r: 52, class: "track" }),
    h("circle", { cx: 60, cy: 60, r: 52, class: "fill", transform: "rotate(-90 60 60)",
      "stroke-dasharray": `${(part * around).toFixed(1)} ${around.toFixed(1)}` }),
    h("text", { x: 60, y: 62, class: "big" }, soc === null ? "–" : number(soc, 1)),
    h("text", { x: 60, y: 80, class: "small" }, "%"));
}

// ---- limits

function limits({ bank, limits: every }) {
  const used = { cvl: bank.voltage, ccl: Math.max(0, bank.current ?? 0), dcl: Math.max(0, -(bank.current ?? 0)) };
  return h("section", { class: "card limits", "aria-label": t("limits") }, h("h2", {}, t("limits")),
    every.map((limit) => h("div", { class: "limit", "data-key": limit.key },
      h("div", { class: "line" },
        h("h3", { title: title(limit.key) }, limit.name, h("span", {}, t(`limit.${limit.key}`))),
        h("b", { class: limit.value === 0 ? "stop" : "" }, show(limit.key, limit.value))),
      limit.key !== "cvl" && bar(used[limit.key], limit.value),
      limit.binding.slice(0, 2).map((cap) => h("p", { class: "because" },
        h("span", {}, cap.why), cap.lifting && h("small", {}, cap.lifting))))),
    (bank.remote_asked ?? []).map((asked) => h("p", { class: "because" }, h("span", {}, t("from_outside", { source: asked.source,
      what: `${t(`outside.${asked.key}`)} ${number(asked.value, 1)}\u202f${asked.key.startsWith("soc") ? "%" : "A"}`, left: duration(asked.seconds_left) })))),
    bank.waiting && h("p", { class: "because" }, h("small", {}, `${t("waits_for")} ${bank.waiting}`)));
}

function bar(value, most) {
  const share = most > 0 && value !== null ? Math.min(1, value / most) : 0;
  return h("svg", { class: "bar", viewBox: "0 0 100 4", preserveAspectRatio: "none", "aria-hidden": "true" },
    h("rect", { width: 100, height: 4, class: "track" }), h("rect", { width: (100 * share).toFixed(1), height: 4, class: "fill" }));
}

// ---- alarms: in words beside the colour

function alarms({ bank }) {
  const raised = Object.entries(bank).filter(([name, level]) => name.startsWith("alarm_") && level > 0);
  return h("section", { class: "card alarms", "aria-live": "polite", "aria-label": t("alarms") }, h("h2", {}, t("alarms")),
    raised.length === 0
      ? h("p", { class: "good" }, t("no_alarms"))
      : h("ul", {}, raised.sort((a, b) => b[1] - a[1]).map(([name, level]) =>
        h("li", { class: level > 1 ? "alarm" : "warning" },
          h("strong", {}, t(`level.${level}`)), " ", word("alarm", name.slice(6))))));
}

// ---- batteries

function pack(battery) {
  const silent = !["online", "starting"].includes(battery.health);
  const out = !battery.joined || silent;
  return h("article", { class: `card pack ${silent ? "silent" : ""}`, "data-key": battery.name },
    h("div", { class: "line" }, h("h3", {}, battery.name),
      h("span", { class: `pill ${out ? "warning" : "soft"}` }, health(battery))),
    h("div", { class: "line" }, h("b", {}, show("soc", battery.soc)), h("span", {}, show("voltage", battery.voltage)),
      h("span", {}, signed("current", battery.current)), h("span", {}, show("temperature", battery.temperature))),
    battery.cell_voltages?.length > 0 && spark(battery),
    (battery.remark || silent) && h("p", { class: "because" },
      [battery.remark, silent && battery.age !== null && t("silent_for", { age: duration(battery.age) })].filter(Boolean).join("; ")));
}

function health(battery) {
  if (battery.health === "online" && !battery.joined) return t("kept_out");
  return battery.control ? word("health", battery.health) : `${word("health", battery.health)}, ${t("watched")}`;
}

// Its cells as small bars between the lowest and the highest.
function spark(battery) {
  const { cell_voltages: volts, min_cell: low, max_cell: high } = battery;
  const known = volts.filter((v) => v !== null);
  if (!known.length || low === null || high === null) return null;
  const span = Math.max(high - low, 0.016);
  const bars = volts.map((v, n) => v !== null && h("rect", {
    x: n * 10 + 1, width: 8, y: (18 - 18 * (v - low) / span).toFixed(1), height: (8 + 18 * (v - low) / span).toFixed(1), rx: 1,
    class: kind(battery, n) }));
  return h("div", { class: "spark" },
    h("svg", { viewBox: `0 0 ${volts.length * 10} 26`, preserveAspectRatio: "none", "aria-hidden": "true" }, bars),
    h("span", {}, `${number(low, 3)} … ${show("max_cell", high)}`));
}

// ---- who is told

function outputs({ outputs: every }) {
  const rows = Object.entries(every);
  if (!rows.length) return null;
  return h("section", { class: "card wide" }, h("h2", {}, t("outputs")),
    h("div", { class: "scroll" }, h("table", {},
      h("thead", {}, h("tr", {}, ["output", "state", "remark"].map((name) => h("th", { scope: "col" }, t(name))))),
      h("tbody", {}, rows.map(([name, output]) => h("tr", { "data-key": name },
        h("th", { scope: "row" }, name),
        h("td", {}, h("span", { class: `pill ${output.connected ? "soft" : "warning"}` }, t(output.connected ? "connected" : "not_connected"))),
        h("td", {}, output.problem || said(output))))))));
}

function said({ inverter, address, towards }) {
  return inverter ? `${t("inverter")} ${towards}: ${word("inverter", inverter)}`.replace(" :", ":") : address ?? "";
}
