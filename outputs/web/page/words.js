// Texts and numbers in the reader's language.

let texts = {};
let listed = {};
let language = "en";

export const LANGUAGES = ["en", "de"];

// The language to begin with: as chosen before, else the browser's.
export function preferred() {
  const wished = [remembered("language"), ...navigator.languages].filter(Boolean).map((tag) => tag.slice(0, 2));
  return wished.find((tag) => LANGUAGES.includes(tag)) ?? "en";
}

export async function speak(tag) {
  [texts, listed] = await Promise.all([json(`texts/${tag}.json`), json("api/values")]);
  language = tag;
  document.documentElement.lang = tag;
}

export function json(address) {
  return fetch(address).then((answer) => {
    if (!answer.ok) throw new Error(`${address}: ${answer.status}`);
    return answer.json();
  });
}

// A text; {name} in it is replaced.
export function t(key, values = {}) {
  const text = texts[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export const current = () => language;
export const title = (name) => texts[`value.${name}`] ?? listed[name]?.title ?? name;
export const word = (group, name) => texts[`${group}.${name}`] ?? String(name).replaceAll("_", " ");

// What writes numbers and times: made once, for making one takes as long as writing a hundred.
const writers = new Map();
function writer(Kind, options) {
  const key = `${language} ${JSON.stringify(options)}`;
  if (!writers.has(key)) writers.set(key, new Kind(language, options));
  return writers.get(key);
}

export function number(value, digits) {
  if (value === null || value === undefined) return "–";
  return writer(Intl.NumberFormat, { minimumFractionDigits: digits, maximumFractionDigits: digits }).format(value);
}

// A value of the list with its unit, as many digits as the list says.
export function show(name, value) {
  if (value === null || value === undefined) return t("unknown");
  const { unit = "", digits = 0 } = listed[name] ?? {};
  return unit ? `${number(value, digits)}\u202f${unit}` : number(value, digits);
}

export const signed = (name, value) => (value > 0 ? "+" : "") + show(name, value);

// "3 min", "2 h 10 min": how long something takes or is ago.
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return t("unknown");
  const s = Math.max(0, Math.round(seconds));
  if (s < 90) return `${s}\u202fs`;
  if (s < 5400) return `${Math.round(s / 60)}\u202fmin`;
  if (s < 172800) return `${Math.floor(s / 3600)}\u202fh ${Math.round((s % 3600) / 60)}\u202fmin`;
  return `${Math.round(s / 86400)} ${t("days")}`;
}

export function moment(wall) {
  return writer(Intl.DateTimeFormat, { dateStyle: "medium", timeStyle: "medium", hourCycle: "h23" }).format(wall * 1000);
}

export function clock(wall, seconds) {
  const style = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", ...(seconds && { second: "2-digit" }) };
  return writer(Intl.DateTimeFormat, style).format(wall * 1000);
}

export function day(wall) {
  return writer(Intl.DateTimeFormat, { day: "numeric", month: "short" }).format(wall * 1000);
}

export function remembered(name) {
  try { return localStorage.getItem(name); } catch { return null; }
}

export function remember(name, value) {
  try { localStorage.setItem(name, value); } catch { /* a browser that keeps nothing */ }
}
