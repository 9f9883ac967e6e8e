// Where evidence is to be had.

import { h } from "./dom.js";
import { t } from "./words.js";

export function report({ gateway }) {
  const link = (address, text) => h("li", {}, h("a", { href: address }, address), " ", text);
  return h("div", { class: "stack" },
    h("section", { class: "card" }, h("h2", {}, t("report")), h("p", {}, t("report_what")),
      h("pre", {}, h("code", {}, "bms-gateway report")), h("p", { class: "muted" }, t("report_where"))),
    h("section", { class: "card" }, h("h2", {}, t("for_machines")), h("ul", {}, link("/api/state", t("api_state")), link("/metrics", t("api_metrics")))),
    h("p", { class: "muted" }, `bms-gateway ${gateway.version} · ${t("installation")} ${gateway.id}${gateway.store ? ` · ${gateway.store}` : ""}`));
}
