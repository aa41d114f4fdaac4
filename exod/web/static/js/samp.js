// Sending a place or rows to other programs of the desktop: only where reader, server and programs share a machine.

import { tell } from "./data.js";
import { h, put } from "./dom.js";
import { base, mode, token } from "./site.js";

const isHere = mode === "server" && token && ["127.0.0.1", "localhost", "[::1]"].includes(new URL(base).hostname);

/** Buttons that send, pairs of words and a function that makes the content; null where nothing can be sent. */
export function sendButtons(pairs) {
  if (!isHere) return null;
  const words = h("p", { class: "quiet small", role: "status" });
  async function send(make) {
    put(words, "Sending …");
    try {
      const { told } = await tell("samp", make());
      put(words, `Sent to ${told.join(", ")}.`);
    } catch (error) {
      put(words, error.message);
    }
  }
  return h("div", { role: "group", "aria-label": "Other programs (SAMP)" },
    h("p", { class: "small" }, "To TOPCAT, Aladin or DS9 of this desktop (SAMP)"),
    h("div", { class: "bar" }, pairs.map(([text, make]) => h("button", { type: "button", onclick: () => send(make) }, text))), words);
}
