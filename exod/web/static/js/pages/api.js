// What the server can be asked: all operations of its API, from its own description, with an example each.

import { h, put } from "../dom.js";
import { json } from "../data.js";
import { base, href, mode } from "../site.js";

export async function show(main) {
  if (mode !== "server") {
    put(main, h("h1", {}, "API"), h("p", {}, "This site has no server to be asked: its files can be read in ranges, and are listed on the page ", h("a", { href: href("/about") }, "About"), "."));
    return;
  }
  const about = await json("openapi.json");
  const operations = Object.entries(about.paths).flatMap(([path, own]) =>
    Object.entries(own).map(([method, operation]) => ({ path, method, operation })));
  const names = [...new Set(operations.map(({ operation }) => operation.tags?.[0] ?? "other"))];
  put(main,
    h("h1", {}, "API"),
    h("p", {}, "The same in words of OpenAPI is ", h("a", { href: `${base}openapi.json` }, "openapi.json"),
      ". For TOPCAT and pyvo there are cone search at ", h("code", {}, `${base}vo/scs`), " and TAP at ", h("code", {}, `${base}vo/tap`), "."),
    names.map((name) => [h("h2", {}, name),
      operations.filter(({ operation }) => (operation.tags?.[0] ?? "other") === name).map(described)]));
}

function described({ path, method, operation }) {
  const parameters = operation.parameters ?? [];
  const example = `${base.slice(0, -1)}${path}`;
  const curl = method === "get" ? `curl '${example}'` : `curl -X ${method.toUpperCase()} -H 'x-exod-token: …' -H 'origin: ${new URL(base).origin}' -H 'content-type: application/json' -d '{…}' '${example}'`;
  return h("section", { class: "panel", "aria-label": `${method} ${path}` },
    h("h3", {}, h("code", {}, `${method.toUpperCase()} ${path}`)),
    h("p", {}, operation.description ?? operation.summary ?? ""),
    parameters.length > 0 && h("ul", {}, parameters.map((one) => h("li", {}, h("code", {}, one.name), one.required ? " (needed)" : "", (one.schema?.default ?? "") !== "" ? `, otherwise ${one.schema.default}` : ""))),
    h("pre", { tabindex: 0 }, curl));
}
