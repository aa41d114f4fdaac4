// The same elsewhere: what a page shows, at the command line, in Python and in ADQL.

import { api } from "./data.js";
import { h, put } from "./dom.js";
import { base, mode } from "./site.js";

const LANGUAGES = { command: "Command line", python: "Python", adql: "ADQL" };

function words(given) {
  return Object.entries(LANGUAGES).filter(([name]) => given[name]).map(([name, label]) => [
    h("p", {}, label, name === "adql" && ", for the TAP service ", name === "adql" && h("code", {}, `${base}vo/tap`)),
    h("pre", { tabindex: 0, dataset: { language: name } }, given[name]),
  ]);
}

/** A panel to be opened: the same `command`, `python` and `adql`; the last only where there is a server. */
export function sameElsewhere({ adql, ...given }) {
  return h("details", { class: "same" }, h("summary", {}, "The same elsewhere"), words({ ...given, adql: mode === "server" && adql }));
}

/** Python that reads the rows of a file of these pages in which a column has a value. */
export function pythonRows(name, column, value) {
  const filter = column ? `, filters=[(${JSON.stringify(column)}, "==", ${JSON.stringify(value)})]` : "";
  return `import pandas as pd\n\nrows = pd.read_parquet("${base}data/${name}.parquet"${filter})`;
}

/** Python that reads an answer of the server. */
export function pythonAnswer(path, query = "") {
  return `import pandas as pd\n\nrows = pd.read_parquet("${base}api/v1/${path}${query && `?${query}`}")`;
}

/** The same of a choice of rows; what `more()` gives comes first. Both are made when the panel is opened. */
export function sameChoice() {
  const content = h("div", {});
  const element = h("details", { class: "same", ontoggle: () => show() }, h("summary", {}, "The same elsewhere, and as files"), content);
  let [table, state, besides, shown] = ["", null, () => [], ""];

  async function show() {
    const query = new URLSearchParams(state);
    query.set("table", table);
    const asked = query.toString();
    if (!element.open || shown === asked) return;
    shown = asked;
    const address = new URL(location.href);
    if (query.get("vetter")) address.searchParams.set("vetter", query.get("vetter"));
    const given = {
      command: `exod query ARCHIVE --from-url '${address.href.replaceAll("'", "%27")}'`,
      python: mode === "server" ? pythonAnswer("export.parquet", asked) : `import exod\n\nrows = exod.rows_at("ARCHIVE", ${JSON.stringify(location.href)})`,
    };
    const found = mode === "server" ? await api("adql", query).catch((error) => ({ why: error.message })) : {};
    if (shown !== asked) return;
    put(content, besides(), words({ ...given, adql: found.adql }), found.why && h("p", { class: "quiet" }, found.why));
  }

  return {
    element,
    update(ofTable, chosen, more = () => []) {
      [table, state, besides] = [ofTable, new URLSearchParams(chosen), more];
      return show();
    },
  };
}
