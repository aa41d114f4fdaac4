// The table of the chosen rows: only those in view are read and drawn.

import { assign, h, put, say } from "./dom.js";
import { text } from "./format.js";
import { change } from "./site.js";
import { placeOf, stepAddresses } from "./stepping.js";

const HEIGHT = 26;
const BLOCK = 4;
const CALM_MS = 150;
/** What an address says of the plots and not of the rows. */
const AXES = ["x", "y", "x2", "y2", "count", "sel"];

/** A table; `update(listed, state)` shows other rows, those that `listed` has in their order, `select(state)` marks one. */
export function rowTable(about, table, shownColumns) {
  const { key } = about;
  const wanted = [...new Set([...shownColumns, key])];
  const body = h("tbody", { onclick: mark });
  const types = new Map(about.columns.map(({ name, type }) => [name, type]));
  const units = new Map(about.columns.map(({ name, unit }) => [name, unit]));
  const [above, below] = [h("tr", { "aria-hidden": "true" }), h("tr", { "aria-hidden": "true" })];
  const heads = shownColumns.map((name) => {
    const column = about.columns.find((one) => one.name === name);
    const sortable = about.sortable.includes(name);
    const button = h("button", { type: "button", class: "quiet sort", title: column.description, onclick: () => sortBy(name) }, label(name), column.unit ? h("span", { class: "quiet" }, ` ${column.unit}`) : "");
    return { name, element: h("th", { scope: "col" }, sortable ? button : h("span", { title: column.description }, label(name))) };
  });
  const grid = h("table", { class: "rows" }, h("caption", { class: "hidden" }, `Rows of ${table}`), h("thead", {}, h("tr", {}, heads.map((head) => head.element))), body);
  const frame = h("div", { class: "scroll rowframe", tabindex: 0, role: "region", "aria-label": `Table of ${table}`, onscroll: () => { scrolled = frame.scrollTop; draw(scrolled); }, onkeydown: keys }, grid);
  let [high, scrolled] = [0, 0];
  addEventListener("resize", () => { high = 0; });
  let [listed, sort, selected, asked, early] = [{ length: 0 }, "", -1, 0, null];
  const [lines, shown] = [[], new Map()];
  let [address, marked] = [stepAddresses(table), ""];

  function sortBy(name) {
    change({ sort: sort === `-${name}` ? name : `-${name}` });
  }

  function keys(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10, j: 1, k: -1 }[event.key];
    if (step) {
      selected = Math.max(0, Math.min(listed.length - 1, selected + step));
      const top = selected * HEIGHT;
      if (top < frame.scrollTop) frame.scrollTop = top;
      if (top > frame.scrollTop + frame.clientHeight - 3 * HEIGHT) frame.scrollTop = top - frame.clientHeight + 3 * HEIGHT;
      draw();
      event.preventDefault();
    } else if (event.key === "Enter" && selected >= 0) {
      frame.querySelector("tr.selected a")?.click();
    }
  }

  /** How many rows are drawn. To ask a page for sizes takes as long as to lay it out, so it is asked once. */
  function size() {
    high ||= frame.clientHeight;
    return Math.ceil((high || 400) / HEIGHT) + 2 * BLOCK;
  }

  async function draw(top = frame.scrollTop) {
    const ticket = ++asked;
    const first = Math.max(0, Math.floor(top / HEIGHT / BLOCK) * BLOCK - BLOCK);
    const last = Math.min(listed.length, first + size());
    const known = first === 0 && early?.size >= last ? early : null;
    early = null;
    const found = last > first ? (await (known ? known.rows : listed.rows(first, last, wanted))).slice(0, last - first) : [];
    if (ticket !== asked) return;
    if (!listed.length) {
      put(body, h("tr", {}, h("td", { colspan: shownColumns.length, class: "quiet" }, about.rows ? "Nothing fulfils these conditions." : `The archive has no ${table}.`)));
      return;
    }
    const inView = Math.ceil((top + (high || 400)) / HEIGHT) - first;
    place(found.slice(0, inView), first);
    // What comes into view when one scrolls is drawn when nothing else was asked for meanwhile.
    if (found.length > inView) setTimeout(() => ticket === asked && place(found, first), CALM_MS);
  }

  function place(rows, first) {
    assign(above.style, { height: `${first * HEIGHT}px` });
    assign(below.style, { height: `${(listed.length - first - rows.length) * HEIGHT}px` });
    rows.forEach((row, place) => {
      lines[place] ??= line();
      lines[place].show(row, first + place);
    });
    // Those that stay are left where they are: what is new to a page takes longer to be laid out.
    if (body.firstChild !== above) put(body, above, below);
    const drawn = body.children.length - 2;
    for (const { element } of lines.slice(rows.length, drawn)) element.remove();
    below.before(...lines.slice(drawn, rows.length).map(({ element }) => element));
  }

  /** A row of the table, which shows one row of the file after the other. */
  function line() {
    const link = h("a", {});
    const cells = shownColumns.map((name, place) => {
      const numeric = !["string", "bool"].includes(types.get(name));
      return h("td", { class: numeric ? "number" : null }, place === 0 && link);
    });
    const element = h("tr", {}, cells);
    cells[0] = link;
    return {
      element,
      show(row, number) {
        link.href = address(row[key]);
        element.classList.toggle("selected", number === selected);
        shown.set(element, { number, key: String(row[key]) });
        cells.forEach((cell, place) => say(cell, text(row[shownColumns[place]], units.get(shownColumns[place]))));
      },
    };
  }

  function mark(event) {
    const own = shown.get(event.target.closest("tr"));
    if (!own) return;
    [selected, marked] = [own.number, own.key];
    change({ sel: marked }, true);
  }

  /** Mark the row that the address names, and show it. */
  async function select(state) {
    const wanted = state.get("sel") || "";
    if (wanted !== marked) {
      marked = wanted;
      const place = wanted ? await placeOf(table, wanted, state).catch(() => null) : null;
      selected = (place ?? 0) - 1;
      if (selected >= 0) frame.scrollTop = Math.max(0, selected * HEIGHT - frame.clientHeight / 2);
    }
    await draw(selected >= 0 ? frame.scrollTop : scrolled);
  }

  return {
    element: frame,
    select,
    /** Ask for the first rows that will be listed, before it is known how many there are, and wait for them. */
    async expect(listing) {
      early = listing && { size: size(), rows: listing.rows(0, size(), wanted) };
      // Why they cannot be had is told where they are shown.
      await early?.rows.catch(() => {});
    },
    async update(found, state) {
      sort = state.get("sort") || "";
      address = stepAddresses(table, [...state].filter(([name]) => !AXES.includes(name)));
      listed = found;
      for (const { name, element } of heads) {
        element.setAttribute("aria-sort", sort === name ? "ascending" : sort === `-${name}` ? "descending" : "none");
      }
      if (scrolled) frame.scrollTop = scrolled = 0;
      [selected, marked] = [-1, ""];
      await select(state);
    },
  };
}

function label(name) {
  return name.replace("best_lc_", "").replace("best_", "").replace("_deg", "").replace("_arcsec", "");
}
