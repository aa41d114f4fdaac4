// The sky at other wavelengths, by Aladin Lite: only after a click does a browser ask anybody else.

import { meta } from "./data.js";
import { h, put } from "./dom.js";
import { base, mode } from "./site.js";

const CONSENT = "exod-outside=yes";

function agreed() {
  return document.cookie.split("; ").includes(CONSENT);
}

/** Aladin Lite's own file, unchanged; it is loaded when it is asked for. */
async function library() {
  const { default: A } = await import(`${base}static/vendor/aladin-lite/aladin.js`);
  await A.init;
  return A;
}

/** A panel that shows a place, with the error circle of a source. */
export function skyPanel({ ra, dec, error, name }) {
  const view = h("div", { class: "aladin", hidden: true });
  const words = h("p", { class: "quiet small" }, "Images come from CDS, Strasbourg: your browser asks there for this place.");
  const button = h("button", { type: "button", onclick: open }, "Show the sky with Aladin Lite");

  async function open() {
    if (!agreed() && mode === "server") {
      // The server lets pages ask CDS from the next page on, since the reader has now agreed.
      document.cookie = `${CONSENT}; path=/; max-age=31536000; samesite=strict`;
      location.reload();
      return;
    }
    button.disabled = true;
    try {
      const A = await library();
      view.hidden = false;
      const aladin = A.aladin(view, { survey: "P/DSS2/color", log: false, target: `${ra} ${dec}`, fov: Math.max((20 * error) / 3600, 0.03) });
      const overlay = A.graphicOverlay({ color: "#e69f00", lineWidth: 2 });
      aladin.addOverlay(overlay);
      overlay.add(A.circle(ra, dec, error / 3600));
      put(words, `${name}: the circle holds its position with 63 % probability.`);
      // Of no sources there are no images of their density.
      if (!(await meta()).tables.sources.rows) return;
      const density = A.imageHiPS(`${base}sky`, { imgFormat: "png", requestCredentials: "same-origin" });
      density.setOpacity(0.5);
      const shows = () => (box.checked ? aladin.setOverlayImageLayer(density, "density") : aladin.removeImageLayer("density"));
      const box = h("input", { type: "checkbox", onchange: shows });
      view.before(h("label", {}, box, " density of the sources of this archive"));
    } catch (problem) {
      put(words, problem.message);
      button.disabled = false;
    }
  }

  const forget = h("button", {
    type: "button", class: "quiet", hidden: !agreed(),
    onclick: () => { document.cookie = "exod-outside=; path=/; max-age=0"; location.reload(); },
  }, "no longer ask CDS");
  return h("section", { class: "panel", "aria-label": "Sky at other wavelengths" }, h("h2", {}, "Sky at other wavelengths"), button, forget, words, view);
}
