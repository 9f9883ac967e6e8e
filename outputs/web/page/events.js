// What happened, and what was commanded by whom.

import { h } from "./dom.js";
import { json, moment, t, word } from "./words.js";

let kept = null;
let known = -1; // how many events there were when they were asked for last

export function events(state, redraw) {
  if (state.gateway.events !== known) {
    known = state.gateway.events;
    json("api/events").then((data) => { kept = data; redraw(); }, () => { known = -1; });
  }
  if (!kept?.length) return h("p", { class: "card" }, t("no_events"));
  return h("section", { class: "card" }, h("div", { class: "scroll" }, h("table", { class: "events" },
    h("caption", { class: "unseen" }, t("view.events")),
    h("thead", {}, h("tr", {}, ["time", "kind", "about", "what"].map((name) => h("th", { scope: "col" }, t(name))))),
    h("tbody", {}, kept.map((event) => h("tr", { class: ["", "warning", "alarm"][event.level] },
      h("td", {}, moment(event.wall, true)),
      h("td", {}, h("span", { class: `pill ${["soft", "warning", "alarm"][event.level]}` }, word("kind", event.kind))),
      h("td", {}, event.kind === "alarm" ? word("alarm", event.about) : event.about),
      h("td", { class: "text" }, event.text)))))));
}
