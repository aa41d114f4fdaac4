// The report of the whole archive: sections of texts, tables and pictures, as `exod report` has them.

import { json, meta } from "./data.js";
import { h } from "./dom.js";
import { mode } from "./site.js";

/** Letters of a cell that is broken into lines. */
const LONG = 60;

let kept;

/** The content of the report; the server counts and draws it once it is asked for. */
async function content() {
  if (mode === "static" && !(await meta()).blocks.report) throw new Error("This site was published without the report of its archive.");
  kept ??= json(mode === "server" ? "api/v1/report" : `data/report.json?v=${(await meta()).version}`);
  // Another try may have an answer.
  kept.catch(() => { kept = undefined; });
  return kept;
}

/** What the report says, as elements of a page. */
export async function reportElements() {
  const { made, sections } = await content();
  const list = h("nav", { "aria-label": "Contents", class: "contents" }, h("ul", {}, sections.map(({ title, anchor }) =>
    h("li", {}, h("button", { type: "button", class: "quiet", onclick: () => goTo(anchor) }, title)))));
  return [h("p", { class: "quiet" }, `Counted ${made}.`), list, sections.map(section)];
}

const idOf = (anchor) => `report-${anchor}`;

function goTo(anchor) {
  const heading = document.querySelector(`#${idOf(anchor)} > h2`);
  heading.scrollIntoView();
  heading.focus({ preventScroll: true });
}

function section({ title, anchor, blocks }) {
  return h("section", { id: idOf(anchor), "aria-label": title, class: "report" }, h("h2", { tabindex: -1 }, title), blocks.map((block) => FORMS[block.form](block, title)));
}

const FORMS = {
  text: ({ text, missing }) => h("p", { class: missing ? "quiet" : null }, withCode(text)),
  listing,
  picture,
  gallery: ({ pictures }) => h("div", { class: "gallery" }, pictures.map(picture)),
};

/** Text in which what is between backticks is code. */
function withCode(text) {
  return text.split("`").map((part, place) => (place % 2 ? h("code", {}, part) : part));
}

function picture({ png, width, alternative, caption }) {
  const image = h("img", { src: `data:image/png;base64,${png}`, width, alt: alternative });
  // Smaller than that its words could not be read; it is scrolled then.
  image.style.setProperty("--least", `${Math.round(width * 0.75)}px`);
  return h("figure", { class: "scroll", tabindex: 0, "aria-label": alternative }, image, caption && h("figcaption", { class: "quiet small" }, caption));
}

function listing({ caption, head, numeric, rows }, title) {
  const kind = (place) => (numeric[place] ? "number" : null);
  return h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `${title}: ${caption}` },
    h("table", {}, h("caption", {}, caption),
      h("thead", {}, h("tr", {}, head.map((name, place) => (name ? h("th", { scope: "col", class: kind(place) }, name) : h("td"))))),
      h("tbody", {}, rows.map((row) => h("tr", {}, row.map((item, place) => h("td", { class: item.length > LONG ? "meaning" : kind(place) }, cell(item))))))));
}

function cell(item) {
  if (Array.isArray(item)) return item.map((one) => [cell(one), " "]);
  if (typeof item === "string") return item;
  if ("good" in item) return h("strong", {}, item.text);
  return /^https?:/.test(item.url) ? h("a", { href: item.url, target: "_blank", rel: "noopener noreferrer" }, item.text) : item.text;
}
