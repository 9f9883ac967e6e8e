// Elements, and how a fresh picture of the page takes the place of the old one without disturbing who reads it.

const SVG = "http://www.w3.org/2000/svg";
const OF_SVG = new Set(["svg", "g", "path", "line", "rect", "circle", "text", "polyline", "title"]);

// h("td", {class: "number"}, "53.2 V"): an element; what is null, undefined or false is left out.
export function h(tag, attributes = {}, ...children) {
  const element = OF_SVG.has(tag) ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// Make the children of `target` like those of `fresh`; what is alike stays the same node, with its focus and selection.
export function morph(target, fresh) {
  const old = [...target.childNodes];
  const wanted = [...fresh.childNodes];
  wanted.forEach((node, index) => {
    const there = old[index];
    if (!there) target.append(node);
    else if (!alike(there, node)) there.replaceWith(node);
    else if (node.nodeType === Node.TEXT_NODE) {
      if (there.nodeValue !== node.nodeValue) there.nodeValue = node.nodeValue;
    } else {
      attributes(there, node);
      morph(there, node);
    }
  });
  old.slice(wanted.length).forEach((node) => node.remove());
}

function alike(one, other) {
  return one.nodeName === other.nodeName && one.dataset?.key === other.dataset?.key;
}

function attributes(there, fresh) {
  for (const { name, value } of [...fresh.attributes])
    if (there.getAttribute(name) !== value) there.setAttribute(name, value);
  for (const { name } of [...there.attributes])
    if (!fresh.hasAttribute(name) && name !== "open") there.removeAttribute(name);
  for (const handler of ["onclick", "onpointermove", "onpointerleave", "onkeydown", "onblur"])
    if (there[handler] !== fresh[handler]) there[handler] = fresh[handler];
}
