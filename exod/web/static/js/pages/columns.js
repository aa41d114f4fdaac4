// What every column means.

import { h, put } from "../dom.js";
import { meta } from "../data.js";
import { sameElsewhere } from "../same.js";
import { base, mode } from "../site.js";

export async function show(main) {
  const { tables } = await meta();
  put(
    main,
    h("h1", {}, "Columns"),
    Object.entries(tables).map(([name, about]) => [
      h("h2", { id: name }, name),
      h("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": `Columns of ${name}` },
        h("table", {},
          h("thead", {}, h("tr", {}, ["Name", "Type", "Unit", "Meaning"].map((text) => h("th", { scope: "col" }, text)))),
          h("tbody", {}, about.columns.map((column) => h("tr", {},
            h("th", { scope: "row" }, h("code", {}, column.name)), h("td", {}, column.type), h("td", {}, column.unit),
            h("td", { class: "meaning" }, column.description)))))),
    ]),
    sameElsewhere({
      command: "exod sql ARCHIVE",
      python: `import pandas as pd\n\nabout = pd.read_json("${base}${mode === "server" ? "api/v1/meta" : "data/meta.json"}", typ="series")\nrows = pd.DataFrame(about["tables"]["sources"]["columns"])`,
      adql: "SELECT column_name, datatype, unit, description FROM TAP_SCHEMA.columns WHERE table_name = 'exod.sources'",
    }),
  );
}
