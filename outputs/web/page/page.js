// The frame: which view is shown, the live stream, and grey when there is no news.

import { cells } from "./cells.js";
import { h, morph } from "./dom.js";
import { events } from "./events.js";
import { overview } from "./overview.js";
import { plots } from "./plots.js";
import { report } from "./report.js";
import { why } from "./why.js";
import { LANGUAGES, current, duration, preferred, remember, remembered, speak, t } from "./words.js";

const VIEWS = { overview, cells, plots, why, events, report };
const THEMES = ["auto", "light", "dark"];
const SILENT = 5; // s without news until what is shown counts as old
const $ = (id) => document.getElementById(id);

let state = null;
let heard = performance.now();
let stream = null;
let shown = "";

const age = () => (performance.now() - heard) / 1000;
const view = () => (location.hash.slice(1) in VIEWS ? location.hash.slice(1) : "overview");

function draw() {
  if (!state) return;
  const name = view();
  const fresh = h("main", {}, h("h1", { class: "unseen" }, t(`view.${name}`)), VIEWS[name](state, draw));
  if (shown !== name) $("main").replaceChildren();
  morph($("main"), fresh);
  if (shown !== name) {
    shown = name;
    frame();
  }
}

function frame() {
  const links = Object.keys(VIEWS).map((name) =>
    h("a", { href: `#${name}`, "aria-current": name === view() ? "page" : null }, t(`view.${name}`)));
  morph($("nav"), h("nav", {}, links));
  $("nav").setAttribute("aria-label", t("views"));
  $("skip").textContent = t("skip");
  $("language").textContent = LANGUAGES.find((tag) => tag !== current()).toUpperCase();
  $("language").setAttribute("aria-label", t("language"));
  const theme = remembered("theme") ?? "auto";
  $("theme").textContent = { auto: "◐", light: "☀", dark: "☾" }[theme];
  $("theme").setAttribute("aria-label", t("theme", { theme: t(`theme.${theme}`) }));
  $("theme").title = t("theme", { theme: t(`theme.${theme}`) });
  document.title = `${t(`view.${view()}`)} · bms-gateway`;
}

function tick() {
  const old = age() > SILENT;
  document.body.classList.toggle("stale", old);
  $("pulse").textContent = state && !old ? t("live") : t("not_live");
  $("pulse").className = old ? "pulse off" : "pulse";
  $("old").hidden = !old;
  if (old) $("old").textContent = t(state ? "no_news" : "no_answer", { age: duration(age()) });
}

function listen() {
  if (stream || document.hidden) return;
  stream = new EventSource("api/live");
  stream.addEventListener("state", (message) => {
    state = JSON.parse(message.data);
    heard = performance.now();
    draw();
    tick();
  });
  stream.onerror = () => {
    if (stream?.readyState === EventSource.CLOSED) {
      stream = null; // refused: the browser does not come again by itself
      setTimeout(listen, 5000);
    }
  };
}

function rest() {
  stream?.close();
  stream = null;
}

function paint() {
  const theme = remembered("theme") ?? "auto";
  document.documentElement.dataset.theme = theme;
}

$("language").onclick = async () => {
  const next = LANGUAGES.find((tag) => tag !== current());
  remember("language", next);
  await speak(next);
  shown = "";
  draw();
  frame();
  tick();
};
$("theme").onclick = () => {
  const now = THEMES.indexOf(remembered("theme") ?? "auto");
  remember("theme", THEMES[(now + 1) % THEMES.length]);
  paint();
  frame();
};
$("skip").onclick = (click) => {
  click.preventDefault();
  $("main").focus();
};
addEventListener("hashchange", () => { draw(); frame(); scrollTo(0, 0); });
document.addEventListener("visibilitychange", () => (document.hidden ? rest() : listen()));

paint();
await speak(preferred());
frame();
tick();
listen();
setInterval(tick, 1000);
