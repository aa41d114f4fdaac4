// What every column means.

import { h, put } from "../dom.js";
import { meta } from "../data.js";

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
            h("td", {}, column.description)))))),
    ]),
  );
}
