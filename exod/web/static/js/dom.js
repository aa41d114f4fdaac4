// Elements are made here and nowhere else: text is always text, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else if (name === "style") Object.assign(element.style, value);
    else if (name in element && ["value", "checked", "selected", "disabled"].includes(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An HTML element with attributes, listeners (`onclick`) and children (text or elements). */
export function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Put children in place of what an element has. */
export function put(element, ...children) {
  element.replaceChildren(...children.flat(Infinity).filter(Boolean));
  return element;
}

/** Give an element a text: what it has is left, or changed, which costs a page less than to take its place. */
export function say(element, text) {
  const [own] = element.childNodes;
  if (own?.nodeType !== Node.TEXT_NODE || own.nextSibling) element.textContent = text;
  else if (own.data !== text) own.data = text;
}

/** Give an element properties, those that it does not have yet. */
export function assign(element, properties) {
  for (const [name, value] of Object.entries(properties)) if (element[name] !== value) element[name] = value;
}

/** Width and height in pixels of the screen, of what has these on the page. */
export function onScreen(...sizes) {
  return sizes.map((size) => Math.floor(size * (devicePixelRatio || 1)));
}

/** What draws on a canvas of a width and height on the page, as fine as the screen is. */
export function drawnOn(canvas, ...sizes) {
  const ratio = devicePixelRatio || 1;
  const [width, height] = onScreen(...sizes);
  // A canvas that is given a size is made anew, whatever it was.
  assign(canvas, { width, height });
  const context = canvas.getContext("2d");
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}

const colours = new Map();
// To ask a page for them takes as long as to find the style of all that has changed in it.
addEventListener("themechange", () => colours.clear());

function asked(name, ask) {
  if (!colours.has(name)) colours.set(name, ask(getComputedStyle(document.documentElement)));
  return colours.get(name);
}

/** What a CSS variable is now, for canvases. */
export function colour(name) {
  return asked(name, (style) => style.getPropertyValue(name).trim());
}

/** Whether the page is dark now. */
export function isDark() {
  return asked("", (style) => style.colorScheme === "dark");
}
