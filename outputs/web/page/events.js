// What happened, and what was asked for from outside and by whom.

import { h } from "./dom.js";
import { json, moment, t, word } from "./words.js";

let kept = null;
let known = ""; // what there was when it was asked for last

export function events(state, redraw) {
  const now = `${state.gateway.events} ${state.bank?.remote_limits ?? 0} ${Math.floor(performance.now() / 30e3)}`;
  if (now !== known) {
    known = now;
    json("api/events").then((data) => { kept = data; redraw(); }, () => { known = ""; });
  }
  if (!kept) return null;
  return h("div", { class: "stack" },
    h("section", { class: "card" }, h("h2", {}, t("happened")), kept.events.length ? happened(kept.events) : h("p", { class: "muted" }, t("no_events"))),
    h("section", { class: "card" }, h("h2", {}, t("audit")), kept.audit.length ? asked(kept.audit) : h("p", { class: "muted" }, t("no_audit"))));
}

function table(title, columns, rows) {
  return h("div", { class: "scroll" }, h("table", { class: "events" }, h("caption", { class: "unseen" }, title),
    h("thead", {}, h("tr", {}, columns.map((name) => h("th", { scope: "col" }, t(name))))), h("tbody", {}, rows)));
}

function happened(every) {
  return table(t("happened"), ["time", "kind", "about", "what"], every.map((event) => h("tr", {},
    h("td", {}, moment(event.wall)),
    h("td", {}, h("span", { class: `pill ${["soft", "warning", "alarm"][event.level]}` }, word("kind", event.kind))),
    h("td", {}, event.kind === "alarm" ? word("alarm", event.about) : event.about),
    h("td", { class: "text" }, event.text))));
}

function asked(every) {
  const words = (values) => Object.entries(values ?? {}).map(([name, value]) => `${name} ${value ?? "–"}`).join(", ");
  return table(t("audit"), ["time", "who", "what", "before", "after"], every.map((entry) => h("tr", {},
    h("td", {}, moment(entry.when)), h("td", {}, entry.source), h("td", { class: "text" }, [entry.what, entry.note ?? entry.why].filter(Boolean).join(": ")),
    h("td", {}, words(entry.before)), h("td", {}, words(entry.after)))));
}
