"""The page to draw hot regions on: its data, its script under Node, and the file that it saves."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from helpers.flag_archives import add_features
from helpers.survey_archives import make_survey
from hypothesis import given
from hypothesis import strategies as st

from exod.archive import Archive
from exod.catalogue.report.picker.pickerpage import SCRIPT, picker_data, picker_page
from exod.sources.vetting.hotregions import inside
from exod.stages.derive.flaginputs import read_boxes

Command = Callable[..., tuple[int, str, str]]
COLUMNS = ["t_bin", "x_lo", "x_hi", "y_lo", "y_hi"]
NONE = pd.DataFrame(columns=COLUMNS, dtype=float)

node = pytest.mark.skipif(shutil.which("node") is None, reason="Node.js is not installed.")

# A document as far as the page needs one: elements with listeners, a canvas of 600 pixels.
DOCUMENT = """
const made = {};
const element = (name) => ({
  name, listeners: {}, children: [], style: {}, textContent: "", value: "", clientWidth: 600,
  clientLeft: 0, clientTop: 0,
  addEventListener(kind, listener) { this.listeners[kind] = listener; },
  setAttribute() {}, setPointerCapture() {}, click() { saved.push(this); },
  appendChild(child) { this.children.push(child); }, replaceChildren() { this.children = []; },
  getBoundingClientRect() { return { left: 20, top: 10 }; },
  getContext() {
    return new Proxy({}, { get: (pen, key) => pen[key] || (() => undefined), set: () => true });
  },
});
const saved = [];
const blobs = [];
const document = {
  getElementById: (name) => (made[name] = made[name] || element(name)),
  createElement: element,
};
const window = {
  devicePixelRatio: 1, listeners: {},
  addEventListener(kind, listener) { this.listeners[kind] = listener; },
  URL: { createObjectURL: (blob) => blobs.push(blob) && "blob:" },
  Blob: class { constructor(parts) { this.text = parts.join(""); } },
};
"""


def run_script(text: str, folder: Path) -> Any:
    """What a program for Node prints, as JSON; `Boxes` and `start` are those of the page."""
    script = folder / SCRIPT
    script.write_text((files("exod.catalogue.report.picker") / SCRIPT).read_text("utf-8"), "utf-8")
    program = f"const {{ Boxes, start }} = require({json.dumps(str(script))});\n{text}"
    (folder / "program.js").write_text(program, "utf-8")
    done = subprocess.run(
        [str(shutil.which("node")), str(folder / "program.js")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def random_boxes(n: int, seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    lower, sides = random.uniform(-9000, 9000, (2, n)), random.uniform(1, 3000, (2, n))
    edges = {"x_lo": lower[0], "x_hi": (lower + sides)[0]}
    edges |= {"y_lo": lower[1], "y_hi": (lower + sides)[1]}
    return pd.DataFrame(edges).assign(t_bin=random.choice([np.nan, 5.0, 2.5], n))[COLUMNS].round(2)


def records(boxes: pd.DataFrame) -> list[dict[str, float | None]]:
    return boxes.astype(object).where(boxes.notna(), None).to_dict("records")


def embedded(page: str) -> dict[str, Any]:
    """The data of a page, as a browser reads them."""
    (text,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)
    data: dict[str, Any] = json.loads(text)
    return data


# ------------------------------------------------------------------ the page


@given(st.integers(0, 40), st.integers(0, 2**32 - 1))
def test_the_page_has_all_regions_and_boxes(n: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    x, y = random.uniform(-18_000, 18_000, (2, n))
    x[random.random(n) < 0.1] = np.nan
    rows = pd.DataFrame({"t_bin": random.choice([5.0, 50.0, 0.5], n), "X_det": x, "Y_det": y})
    boxes = random_boxes(3, seed)
    data = json.loads(json.dumps(picker_data(rows, NONE, boxes, "hot.csv")))
    known = rows[np.isfinite(x)]
    np.testing.assert_allclose(data["x"], known["X_det"], atol=0.5)
    np.testing.assert_allclose(data["y"], known["Y_det"], atol=0.5)
    assert [data["t_bins"][number] for number in data["bin"]] == known["t_bin"].tolist()
    assert data["t_bins"] == sorted(set(known["t_bin"]))
    pd.testing.assert_frame_equal(pd.DataFrame(data["boxes"], dtype=float), boxes)
    assert data["found"] == []


def test_the_page_needs_nothing_else_and_escapes_every_text() -> None:
    rows = pd.DataFrame({"t_bin": [5.0], "X_det": [1.0], "Y_det": [2.0]})
    evil = "</script><script>alert(1)</script>"
    page = picker_page(evil, rows, NONE, NONE, f"{evil}.csv")
    assert "alert(1)</script>" not in page
    assert embedded(page)["file"] == f"{evil}.csv"
    assert not re.findall(r'(?:src|href)\s*=\s*["\']', page), "no other file"
    assert not re.findall(r"https?://|@import|url\(", page), "no network"


# ------------------------------------------------------------------ the script


@node
@pytest.mark.parametrize("seed", [1, 2])
def test_saved_files_are_those_that_flags_reads(tmp_path: Path, seed: int) -> None:
    boxes = random_boxes(30, seed)
    program = f"console.log(JSON.stringify(Boxes.toCsv({json.dumps(records(boxes))})));"
    path = tmp_path / "boxes.csv"
    path.write_text(run_script(program, tmp_path), encoding="utf-8")
    pd.testing.assert_frame_equal(read_boxes(path), boxes)
    text = json.dumps("# mine\n" + path.read_text())
    again = run_script(f"console.log(JSON.stringify(Boxes.fromCsv({text})));", tmp_path)
    assert again == records(boxes)


@node
def test_regions_in_boxes_are_those_that_are_flagged(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    boxes = random_boxes(20, 5)
    x, y = random.integers(-9000, 9000, (2, 500))
    # Some lie on the edges: lower ones belong to a box, upper ones do not.
    boxes.iloc[:10, 1:] = boxes.iloc[:10, 1:].round(0)
    x[:10], y[:10] = boxes["x_lo"][:10], boxes["y_lo"][:10]
    x[10:20], y[10:20] = boxes["x_hi"][:10], boxes["y_lo"][:10]
    rows = pd.DataFrame({"t_bin": random.choice([5.0, 2.5], 500), "X_det": x, "Y_det": y})
    data = json.dumps(picker_data(rows, NONE, boxes, "boxes.csv"))
    program = f"const data = {data}; data.boxes = data.boxes.map((box) => Boxes.count(data, box));"
    counts = run_script(f"{program} console.log(JSON.stringify(data.boxes));", tmp_path)
    expected = [inside(x, y, rows["t_bin"], boxes.iloc[i : i + 1]).sum() for i in range(len(boxes))]
    assert counts == expected
    assert sum(counts) > 20, "most are outside, some are inside"


@node
def test_files_of_others_are_read_or_refused(tmp_path: Path) -> None:
    texts = {
        "x,y,w,h\n1,2,3,4\n": [{"t_bin": None, "x_lo": 1, "x_hi": 4, "y_lo": 2, "y_hi": 6}],
        "x_lo,x_hi,y_lo,y_hi\n": [],
        "a,b\n1,2\n": "The file needs the columns x_lo, x_hi, y_lo, y_hi.",
        "x_lo,x_hi,y_lo,y_hi\n1,2,3,4\n1,2,b,4\n": "Line 3 of the file is not a box.",
        "x_lo,x_hi,y_lo,y_hi\n2,1,3,4\n": "Line 2 of the file is not a box.",
        "": "The file needs the columns x_lo, x_hi, y_lo, y_hi.",
    }
    program = f"""console.log(JSON.stringify({json.dumps(list(texts))}.map((text) => {{
      try {{ return Boxes.fromCsv(text); }} catch (error) {{ return error.message; }} }})));"""
    assert run_script(program, tmp_path) == list(texts.values())


@node
def test_the_same_place_stays_under_the_mouse(tmp_path: Path) -> None:
    program = """
    const view = { x: 100, y: -300, span: 5000, size: 640 };
    const near = Boxes.zoomed(view, 200, 500, 0.3);
    console.log(JSON.stringify([Boxes.toPlane(view, 200, 500), Boxes.toPlane(near, 200, 500),
      Boxes.toScreen(near, ...Boxes.toPlane(near, 17, 30)), near.span, Boxes.toPlane(view, 0, 0)]));
    """
    before, after, there, span, corner = run_script(program, tmp_path)
    np.testing.assert_allclose(before, after)
    np.testing.assert_allclose(there, [17, 30])
    assert span == pytest.approx(1500)
    np.testing.assert_allclose(corner, [-2400, 2200], err_msg="y goes up")


@node
def test_boxes_drawn_with_the_mouse_are_saved(tmp_path: Path) -> None:
    """The page in a document of a few lines: draw two boxes, a click, undo, another bin, save."""
    rows = pd.DataFrame({"t_bin": [5.0, 50.0], "X_det": [0.0, 10.0], "Y_det": [0.0, 20.0]})
    found = pd.DataFrame([[50.0, 1.0, 2.0, 3.0, 4.0]], columns=COLUMNS)
    data = json.dumps(json.dumps(picker_data(rows, found, NONE, "hot.csv")))
    program = f"""
    {DOCUMENT}
    document.getElementById("data").textContent = {data};
    start(document, window);
    const canvas = made.plane;
    const mouse = (kind, x, y, more = {{}}) => canvas.listeners[kind](
      {{ clientX: x + 20, clientY: y + 10, button: 0, preventDefault() {{}}, ...more }});
    const drag = (a, b, more) => {{
      mouse("pointerdown", ...a, more);
      ["pointermove", "pointerup"].forEach((kind) => mouse(kind, ...b, more));
    }};
    const press = (name) => made[name].listeners.click();
    drag([300, 300], [330, 270]);
    drag([300, 300], [301, 300]);
    drag([0, 0], [100, 100]); press("undo");
    made.bin.listeners.change({{ target: {{ value: "50" }} }});
    drag([360, 360], [330, 330]);
    drag([300, 300], [330, 300], {{ shiftKey: true }});
    drag([330, 300], [360, 270]);
    press("take");
    const rows = made.boxes.children.length;
    press("save");
    console.log(JSON.stringify([blobs[0].text, saved[0].download, rows, made.number.textContent,
      made.bin.children.map((option) => option.value)]));
    """
    text, name, n, words, bins = run_script(program, tmp_path)
    path = tmp_path / "saved.csv"
    path.write_text(text)
    # 600 pixels are 40000 units; the third box is drawn after a move by 30 pixels.
    expected = pd.DataFrame(
        [
            [np.nan, 0.0, 2000.0, 0.0, 2000.0],
            [50.0, 2000.0, 4000.0, -4000.0, -2000.0],
            [50.0, 0.0, 2000.0, 0.0, 2000.0],
            [50.0, 1.0, 2.0, 3.0, 4.0],
        ],
        columns=COLUMNS,
    )
    pd.testing.assert_frame_equal(read_boxes(path), expected)
    assert (name, n, words) == ("hot.csv", 4, "1 region, 1 in boxes")
    assert bins == ["", "5", "50"]


# ------------------------------------------------------------------ the command


def test_the_command(tmp_path: Path, command: Command) -> None:
    archive = make_survey(tmp_path / "archive", 3, 4)
    add_features(archive)
    assert command("flags", archive.root, "--scheduler", "sync")[0] == 0
    code, said, _ = command("pick", archive.root, "--to", tmp_path / "hot.csv")
    assert code == 0
    assert "exod flags" in said
    data = embedded((tmp_path / "hot.html").read_text(encoding="utf-8"))
    detector = archive.derived_table("flags", "detector").compute()
    np.testing.assert_allclose(sorted(data["x"]), sorted(detector["X_det"]), atol=0.5)
    given_boxes = tmp_path / "mine.csv"
    given_boxes.write_text("x,y,w,h\n-1,-2,3,4\n")
    more = ("--boxes", given_boxes, "--to", tmp_path / "other.html")
    assert command("pick", archive.root, *more)[0] == 0
    data = embedded((tmp_path / "other.html").read_text(encoding="utf-8"))
    assert data["file"] == "other.csv"
    assert data["boxes"] == [{"t_bin": None, "x_lo": -1, "x_hi": 2, "y_lo": -2, "y_hi": 2}]
    # What was given to the flags is what one begins with, unless it is about another pivot.
    options = ("--boxes", given_boxes, "--scheduler", "sync")
    for pivot, n in (((), 1), (("--pivot", "25719,25719"), 0)):
        assert command("flags", archive.root, *options, *pivot)[0] == 0
        assert command("pick", archive.root, "--to", tmp_path / "hot.csv")[0] == 0
        assert len(embedded((tmp_path / "hot.html").read_text(encoding="utf-8"))["boxes"]) == n


def test_wrong_usage_is_one_sentence(tmp_path: Path, command: Command) -> None:
    root = Archive.create(tmp_path / "archive", make_survey(tmp_path / "other", 1).config).root
    cases: dict[tuple[object, ...], tuple[int, str]] = {
        (root,): (1, "exod flags"),
        (root, "--to", tmp_path / "a.png"): (2, "boxes.csv"),
        (root, "--boxes", tmp_path / "none.csv"): (2, "cannot be read"),
        (tmp_path / "nothing",): (1, "nothing"),
    }
    for arguments, (code, words) in cases.items():
        found, _, wrong = command("pick", *arguments)
        assert (found, words in wrong) == (code, True), wrong
    assert not (tmp_path / "boxes.html").exists()
