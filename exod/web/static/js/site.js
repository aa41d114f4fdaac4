// Where the site is, which address is shown, and what the address says.

function told(name) {
  return document.querySelector(`meta[name="exod-${name}"]`).content;
}

/** What all addresses begin with. */
export const base = new URL(told("base") || ".", document.baseURI).href;

/** "server", or "static" for a published site: then the address of a view follows `#`. */
export const mode = told("mode");

/** What the server must be given to change something; empty if nothing can be changed. */
export const token = told("token");

/** Who is logged in; empty where there is no login. */
export const login = told("vetter");

/** What an address says: of a name that is there twice the last value, as a server takes it. */
function stateOf(query) {
  return new URLSearchParams(Object.fromEntries(new URLSearchParams(query)));
}

/** The path of the present view, as `/source/12`, and its state. */
export function here() {
  if (mode === "static") {
    const [path, query] = (location.hash.slice(1) || "/").split("?");
    return { path, state: stateOf(query || "") };
  }
  const root = new URL(base).pathname;
  return {
    path: `/${location.pathname.slice(root.length)}`,
    state: stateOf(location.search),
  };
}

/** The address of a view, for links. */
export function href(path, state) {
  const query = state ? new URLSearchParams(state).toString() : "";
  const tail = path.slice(1) + (query ? `?${query}` : "");
  return mode === "static" ? `${base}#/${tail}` : base + tail;
}

const listeners = new Set();

/** Be told whenever the address has changed. */
export function onVisit(listener) {
  listeners.add(listener);
}

/** Show another view; `replace` if it is not a step to go back to. */
export function visit(path, state, replace = false) {
  const address = href(path, state);
  if (address === location.href) return;
  history[replace ? "replaceState" : "pushState"](null, "", address);
  for (const listener of listeners) listener();
}

/** Change some of the state of the present view: null removes. */
export function change(patch, replace = false) {
  const { path, state } = here();
  for (const [name, value] of Object.entries(patch)) {
    if (value === null || value === "") state.delete(name);
    else state.set(name, value);
  }
  visit(path, state, replace);
}

addEventListener("popstate", () => listeners.forEach((listener) => listener()));
addEventListener("hashchange", () => listeners.forEach((listener) => listener()));

// Links of the site change the view without loading the page anew.
addEventListener("click", (event) => {
  const link = event.target.closest?.("a[href]");
  if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
  if (link.target || link.hasAttribute("download") || !link.href.startsWith(base)) return;
  const tail = link.href.slice(base.length);
  if (/^(static|data|sky|api\/v1|vo)\//.test(tail) || (tail.startsWith("#") && mode !== "static")) return;
  event.preventDefault();
  if (link.href === location.href) return;
  history.pushState(null, "", link.href);
  scrollTo(0, 0);
  listeners.forEach((listener) => listener());
});
