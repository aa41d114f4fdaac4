// The site: its head and foot, and the page of the present address between them.

import { h, put } from "./dom.js";
import { meta } from "./data.js";
import { here, href, onVisit } from "./site.js";

const PAGES = [
  [/^\/$/, "catalogue", "Catalogue"],
  [/^\/source\/(\d+)$/, "source"],
  [/^\/name\/(.+)$/, "name"],
  [/^\/detection\/(.+)$/, "detection"],
  [/^\/obs\/(\d{1,10})$/, "observation"],
  [/^\/vet$/, "vet", "Vetting"],
  [/^\/compare$/, "compare", "Compare"],
  [/^\/runs$/, "runs", "Runs"],
  [/^\/stats$/, "stats", "Statistics"],
  [/^\/columns$/, "columns", "Columns"],
  [/^\/api$/, "api", "API"],
  [/^\/about$/, "about", "About"],
];

const THEMES = { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };

function theme() {
  return localStorage.getItem("exod-theme") || "auto";
}

function setTheme(name) {
  localStorage.setItem("exod-theme", name);
  document.documentElement.dataset.theme = name;
  dispatchEvent(new Event("themechange"));
}

function head(path) {
  const link = ([pattern, , label]) =>
    label && h("a", { href: href(address(pattern)), "aria-current": pattern.test(path) ? "page" : null }, label);
  const names = Object.keys(THEMES);
  const button = h("button", {
    type: "button", class: "quiet",
    onclick(event) {
      setTheme(names[(names.indexOf(theme()) + 1) % names.length]);
      event.target.textContent = THEMES[theme()];
    },
  }, THEMES[theme()]);
  put(document.getElementById("top"), h("strong", {}, "exod"), h("nav", { "aria-label": "Pages" }, PAGES.map(link)), button);
}

function address(pattern) {
  return pattern.source.replace(/\\|\^|\$/g, "");
}

async function foot() {
  const about = await meta();
  put(
    document.getElementById("foot"),
    `${about.archive}: ${about.observations.toLocaleString("en")} observations · pages of ${about.made} · exod ${about.exod}`,
  );
}

/** A part of an address as text. */
function decoded(part) {
  try {
    return part && decodeURIComponent(part);
  } catch {
    throw new Error(`${part} in the address is no text; a sign % begins two digits there, and is itself written as %25.`);
  }
}

let shown = { name: null, page: null };
let headed = null;

async function show() {
  const { path, state } = here();
  const main = document.getElementById("main");
  const found = PAGES.find(([pattern]) => pattern.test(path));
  document.body.dataset.ready = "no";
  if (path !== headed) head(path);
  headed = path;
  try {
    if (!found) {
      document.title = "Nothing here · exod";
      put(main, h("h1", {}, "Nothing here"), h("p", {}, `There is no page ${path}. `, h("a", { href: href("/") }, "Go to the catalogue"), "."));
      shown = { name: null, page: null };
    } else {
      const argument = decoded(path.match(found[0])[1]);
      const same = shown.name === path && shown.page?.update;
      if (same) await shown.page.update(state);
      else {
        shown.page?.leave?.();
        const page = await import(`./pages/${found[1]}.js`);
        document.title = `${found[2] || argument} · exod`;
        put(main);
        shown = { name: path, page };
        await page.show(main, state, argument);
      }
    }
    document.body.dataset.ready = "yes";
  } catch (error) {
    console.info(error);
    shown = { name: null, page: null };
    put(main, h("h1", {}, "This cannot be shown"), h("p", { role: "alert" }, error.message));
    document.body.dataset.ready = "error";
  }
}

document.documentElement.dataset.theme = theme();
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => dispatchEvent(new Event("themechange")));
onVisit(show);
show();
foot().catch((error) => put(document.getElementById("foot"), error.message));
