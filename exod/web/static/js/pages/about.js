// What these pages are made of, how to cite them, and whose code they use.

import { h, put } from "../dom.js";
import { meta } from "../data.js";
import { plural } from "../format.js";
import { sameElsewhere } from "../same.js";
import { base, mode } from "../site.js";

const CODE = [
  ["uPlot", "MIT", "uplot/LICENSE"], ["hyparquet", "MIT", "hyparquet/LICENSE"], ["fzstd", "MIT", "fzstd/LICENSE"],
  ["Aladin Lite", "LGPL 3, a separate file, unchanged", "aladin-lite/LICENSE"],
];

export async function show(main) {
  const about = await meta();
  const size = (bytes) => (bytes > 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.ceil(bytes / 1e3)} kB`);
  put(main,
    h("h1", {}, "About"),
    h("p", {}, `These pages show the archive ${about.archive}: ${plural(about.observations, "observation")}, ${plural(about.tables.sources.rows, "source")}, ${plural(about.tables.detections.rows, "detection")}. They were prepared ${about.made} by exod ${about.exod}, version ${about.version}.`),
    h("h2", {}, "What they are made of"),
    h("table", {}, h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Product"), h("th", { scope: "col" }, "Version"))),
      h("tbody", {}, Object.entries(about.products).map(([name, version]) => h("tr", {}, h("th", { scope: "row" }, name), h("td", {}, h("code", {}, version)))))),
    h("h2", {}, "Files"),
    h("p", {}, "All of them can be read elsewhere, whole or in ranges:"),
    h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Files" },
      h("table", {}, h("thead", {}, h("tr", {}, ["File", "Rows", "Size", "SHA-256"].map((text) => h("th", { scope: "col" }, text)))),
        h("tbody", {}, Object.entries(about.files).map(([name, file]) => h("tr", {},
          h("td", {}, h("a", { href: `${base}data/${name}`, download: name }, name)), h("td", { class: "number" }, file.rows.toLocaleString("en")),
          h("td", { class: "number whole" }, size(file.bytes)), h("td", {}, h("code", {}, file.sha256 || "–"))))))),
    sameElsewhere({
      command: "exod explore ARCHIVE --make-only",
      python: `import pandas as pd\n\nabout = pd.read_json("${base}${mode === "server" ? "api/v1/meta" : "data/meta.json"}", typ="series")\nrows = pd.DataFrame(about["files"]).T`,
      adql: "SELECT * FROM TAP_SCHEMA.tables",
    }),
    h("h2", {}, "To cite"),
    h("p", {}, "The search is described by Khan et al. (2025), A&A 697, A50. Name the version above, so that others find the same rows."),
    h("h2", {}, "Code of others"),
    h("ul", {}, CODE.map(([name, licence, file]) => h("li", {}, h("a", { href: `${base}static/vendor/${file}` }, name), `: ${licence}`))),
    mode === "static" && h("p", { class: "quiet" }, "This site has no server: nothing that you choose here leaves your browser."));
}
