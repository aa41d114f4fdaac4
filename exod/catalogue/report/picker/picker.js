"use strict";

// Functions without a page: geometry, counting, and the file that `exod flags --boxes` reads.
const Boxes = (() => {
  const EDGES = ["x_lo", "x_hi", "y_lo", "y_hi"];
  const COLUMNS = ["t_bin", ...EDGES];

  // A view shows `span` units along each side of a canvas of `size` pixels around (x, y).
  const toScreen = (view, x, y) => [
    ((x - view.x) / view.span + 0.5) * view.size,
    (0.5 - (y - view.y) / view.span) * view.size,
  ];
  const toPlane = (view, px, py) => [
    view.x + (px / view.size - 0.5) * view.span,
    view.y - (py / view.size - 0.5) * view.span,
  ];

  // The same place stays under the mouse.
  const zoomed = (view, px, py, factor) => {
    const [x, y] = toPlane(view, px, py);
    const span = Math.min(Math.max(view.span * factor, 200), 80000);
    const ratio = span / view.span;
    return { ...view, span, x: x + (view.x - x) * ratio, y: y + (view.y - y) * ratio };
  };

  // Hundredths of a unit are far below a cell, and short to read.
  const round = (value) => Math.round(value * 100) / 100;

  // The box between two corners; null if it has no area.
  const between = (a, b, tBin) => {
    const box = {
      t_bin: tBin,
      x_lo: round(Math.min(a[0], b[0])), x_hi: round(Math.max(a[0], b[0])),
      y_lo: round(Math.min(a[1], b[1])), y_hi: round(Math.max(a[1], b[1])),
    };
    return box.x_lo < box.x_hi && box.y_lo < box.y_hi ? box : null;
  };

  // Lower edges belong to a box, upper ones do not, as in exod.sources.vetting.hotregions.inside.
  const holds = (box, x, y, tBin) =>
    (box.t_bin === null || Math.abs(box.t_bin - tBin) <= 1e-8 + 1e-5 * Math.abs(tBin)) &&
    x >= box.x_lo && x < box.x_hi && y >= box.y_lo && y < box.y_hi;

  const count = (data, box) => {
    let n = 0;
    for (let i = 0; i < data.x.length; i += 1) {
      if (holds(box, data.x[i], data.y[i], data.t_bins[data.bin[i]])) n += 1;
    }
    return n;
  };

  const isBox = (box) =>
    EDGES.every((name) => Number.isFinite(box[name])) && box.x_lo < box.x_hi && box.y_lo < box.y_hi &&
    (box.t_bin === null || box.t_bin > 0);

  const toCsv = (boxes) => {
    const rows = boxes.map((box) => COLUMNS.map((name) => (box[name] === null ? "" : String(box[name]))));
    return [COLUMNS, ...rows].map((row) => row.join(",") + "\n").join("");
  };

  const fromCsv = (text) => {
    const lines = text.split(/\r?\n/).map((line) => line.split("#")[0].trim()).filter((line) => line);
    const names = (lines.shift() || "").split(",").map((name) => name.trim());
    const corner = ["x", "y", "w", "h"].every((name) => names.includes(name));
    if (!corner && !EDGES.every((name) => names.includes(name))) {
      throw new Error("The file needs the columns " + EDGES.join(", ") + ".");
    }
    return lines.map((line, number) => {
      const cells = line.split(",");
      const value = (name) => {
        const cell = names.includes(name) ? (cells[names.indexOf(name)] || "").trim() : "";
        return cell === "" ? NaN : Number(cell);
      };
      const tBin = value("t_bin");
      const box = corner
        ? { x_lo: value("x"), x_hi: value("x") + value("w"), y_lo: value("y"), y_hi: value("y") + value("h") }
        : Object.fromEntries(EDGES.map((name) => [name, value(name)]));
      const found = { t_bin: Number.isNaN(tBin) ? null : tBin, ...box };
      if (!isBox(found)) throw new Error("Line " + (number + 2) + " of the file is not a box.");
      return found;
    });
  };

  return { EDGES, between, count, fromCsv, holds, isBox, round, toCsv, toPlane, toScreen, zoomed };
})();

// The page: what is drawn, and what the mouse and the table do.
function start(document, window) {
  const data = JSON.parse(document.getElementById("data").textContent);
  const element = (name) => document.getElementById(name);
  const canvas = element("plane");
  const pen = canvas.getContext("2d");
  const WHOLE = { x: 0, y: 0, span: 40000 };
  let boxes = data.boxes.slice();
  let history = [];
  let tBin = null;
  let view = { ...WHOLE, size: 1 };
  let drag = null;
  let unsaved = false;

  const shown = (box) => tBin === null || box.t_bin === null || box.t_bin === tBin;
  const say = (text) => { element("message").textContent = text; };
  const change = (next) => { history.push(boxes); boxes = next; unsaved = true; list(); draw(); };

  function frame(box, colour, dash) {
    const [left, top] = Boxes.toScreen(view, box.x_lo, box.y_hi);
    const [right, bottom] = Boxes.toScreen(view, box.x_hi, box.y_lo);
    pen.strokeStyle = colour;
    pen.setLineDash(dash);
    pen.strokeRect(left, top, right - left, bottom - top);
    return [right, top];
  }

  // Circles of 5, 10 and 15 arcmin around the pointing: a scale, wherever the view is.
  function scale() {
    const [left, top] = Boxes.toScreen(view, 0, 0);
    pen.strokeStyle = "#ccc";
    pen.fillStyle = "#666";
    pen.lineWidth = 1;
    pen.setLineDash([]);
    for (const arcmin of [5, 10, 15]) {
      const radius = (arcmin * 1200 * view.size) / view.span;
      pen.beginPath();
      pen.arc(left, top, radius, 0, 2 * Math.PI);
      pen.stroke();
      pen.fillText(arcmin + "\u2032", left + 3, top - radius - 3);
    }
  }

  function draw() {
    const wide = canvas.clientWidth || 600;
    const dots = window.devicePixelRatio || 1;
    canvas.width = canvas.height = Math.round(wide * dots);
    view.size = wide;
    pen.setTransform(dots, 0, 0, dots, 0, 0);
    pen.fillStyle = "#fff";
    pen.fillRect(0, 0, wide, wide);
    scale();
    const own = boxes.filter(shown);
    // Many points are smaller, so that dense places stand out, and each of a few is seen.
    const large = data.x.length > 20000 ? 1.2 : data.x.length > 1000 ? 2.5 : 5;
    const size = Math.min(Math.max(large * Math.sqrt(40000 / view.span), 1), Math.max(large, 5));
    const hot = [];
    let n = 0;
    pen.fillStyle = "rgba(0,114,178,.55)";
    for (let i = 0; i < data.x.length; i += 1) {
      const bin = data.t_bins[data.bin[i]];
      if (tBin !== null && bin !== tBin) continue;
      n += 1;
      if (own.some((box) => Boxes.holds(box, data.x[i], data.y[i], bin))) { hot.push(i); continue; }
      const [px, py] = Boxes.toScreen(view, data.x[i], data.y[i]);
      pen.fillRect(px - size / 2, py - size / 2, size, size);
    }
    pen.fillStyle = "#d55e00";
    for (const i of hot) {
      const [px, py] = Boxes.toScreen(view, data.x[i], data.y[i]);
      pen.fillRect(px - size / 2, py - size / 2, size, size);
    }
    element("number").textContent = n + (n === 1 ? " region, " : " regions, ") + hot.length + " in boxes";
    pen.lineWidth = 1.4;
    data.found.filter(shown).forEach((box) => frame(box, "#000", [5, 4]));
    boxes.forEach((box, number) => {
      if (!shown(box)) return;
      const [right, top] = frame(box, "#d55e00", []);
      pen.fillText(String(number + 1), right + 2, top + 8);
    });
    if (drag && drag.box) frame(drag.box, "#000", [3, 3]);
    pen.setLineDash([]);
  }

  function field(row, box, number, name) {
    const input = document.createElement("input");
    input.type = "number";
    input.value = box[name] === null ? "" : String(box[name]);
    input.placeholder = name === "t_bin" ? "all" : "";
    input.setAttribute("aria-label", name + " of box " + (number + 1));
    input.addEventListener("change", () => {
      const value = input.value === "" ? (name === "t_bin" ? null : NaN) : Number(input.value);
      const next = { ...box, [name]: value };
      if (!Boxes.isBox(next)) {
        say("That would be no box: x and y must go from a smaller to a larger number.");
        input.value = box[name] === null ? "" : String(box[name]);
        return;
      }
      say("");
      change(boxes.map((old, i) => (i === number ? next : old)));
    });
    const cell = document.createElement("td");
    cell.appendChild(input);
    row.appendChild(cell);
  }

  function list() {
    const body = element("boxes");
    body.replaceChildren();
    boxes.forEach((box, number) => {
      const row = document.createElement("tr");
      ["t_bin", ...Boxes.EDGES].forEach((name) => field(row, box, number, name));
      const regions = document.createElement("td");
      regions.textContent = String(Boxes.count(data, box));
      row.appendChild(regions);
      const last = document.createElement("td");
      const remove = document.createElement("button");
      remove.textContent = "×";
      remove.setAttribute("aria-label", "Remove box " + (number + 1));
      remove.addEventListener("click", () => change(boxes.filter((_, i) => i !== number)));
      last.appendChild(remove);
      row.appendChild(last);
      body.appendChild(row);
    });
  }

  const at = (event) => {
    const edge = canvas.getBoundingClientRect();
    return [event.clientX - edge.left - canvas.clientLeft, event.clientY - edge.top - canvas.clientTop];
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button > 1) return;
    const [px, py] = at(event);
    const moves = event.shiftKey || event.button === 1;
    drag = { from: Boxes.toPlane(view, px, py), view: { ...view }, px, py, moves, box: null };
    canvas.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    const [px, py] = at(event);
    const [x, y] = Boxes.toPlane(view, px, py);
    element("place").textContent = "x " + Math.round(x) + ", y " + Math.round(y) + " (0.05 arcsec)";
    if (!drag) return;
    if (drag.moves) {
      const scale = view.span / view.size;
      view.x = drag.view.x - (px - drag.px) * scale;
      view.y = drag.view.y + (py - drag.py) * scale;
    } else {
      drag.box = Boxes.between(drag.from, [x, y], tBin);
    }
    draw();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (!drag) return;
    const [px, py] = at(event);
    const box = drag.moves ? null : Boxes.between(drag.from, Boxes.toPlane(view, px, py), tBin);
    // A click is not a box.
    const far = Math.abs(px - drag.px) > 3 && Math.abs(py - drag.py) > 3;
    drag = null;
    if (box && far) { say(""); change([...boxes, box]); } else { draw(); }
  });
  canvas.addEventListener("pointercancel", () => { drag = null; draw(); });
  canvas.addEventListener("dblclick", () => { view = { ...WHOLE, size: view.size }; draw(); });
  canvas.addEventListener("wheel", (event) => {
    const [px, py] = at(event);
    view = Boxes.zoomed(view, px, py, Math.exp(event.deltaY / 600));
    event.preventDefault();
    draw();
  }, { passive: false });
  window.addEventListener("keydown", (event) => {
    if (event.key === "Escape") { drag = null; draw(); }
  });
  window.addEventListener("resize", draw);
  window.addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });

  element("bin").addEventListener("change", (event) => {
    tBin = event.target.value === "" ? null : Number(event.target.value);
    draw();
  });
  element("undo").addEventListener("click", () => {
    if (history.length) { boxes = history.pop(); list(); draw(); }
  });
  element("add").addEventListener("click", () => {
    change([...boxes, { t_bin: tBin, x_lo: -200, x_hi: 200, y_lo: -200, y_hi: 200 }]);
  });
  element("take").addEventListener("click", () => {
    change([...boxes, ...data.found.filter(shown).map((box) => ({ ...box }))]);
  });
  element("load").addEventListener("click", () => element("open").click());
  element("open").addEventListener("change", (event) => {
    const file = event.target.files[0];
    if (!file) return;
    file.text().then((text) => { change(Boxes.fromCsv(text)); say(""); }).catch((error) => say(error.message));
  });
  element("save").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = window.URL.createObjectURL(new window.Blob([Boxes.toCsv(boxes)], { type: "text/csv" }));
    link.download = data.file;
    link.click();
    unsaved = false;
    say(boxes.length + " boxes saved as " + data.file + ".");
  });

  element("file").textContent = data.file;
  const choices = [["", "all"], ...data.t_bins.map((value) => [String(value), value + " s"])];
  choices.forEach(([value, text]) => {
    const option = document.createElement("option");
    option.value = value;
    option.textContent = text;
    element("bin").appendChild(option);
  });
  list();
  draw();
}

if (typeof module !== "undefined") {
  module.exports = { Boxes, start };
} else {
  start(document, window);
}
