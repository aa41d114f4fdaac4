"""The notebooks run from top to bottom, offline, and answer what they say."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
KERNEL = "exod-tests"


@pytest.fixture
def kernel(tmp_path, monkeypatch) -> str:
    """A kernel of the Python that runs the tests, whatever is installed for Jupyter."""
    folder = tmp_path / "jupyter" / "kernels" / KERNEL
    folder.mkdir(parents=True)
    command = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    about = {"argv": command, "display_name": KERNEL, "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(about))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    # A request would fail at once, and the notebook with it.
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(FOLDER.parent), *sys.path]))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    return KERNEL


def executed(path: Path, kernel: str, folder: Path) -> nbformat.NotebookNode:
    notebook = nbformat.read(path, as_version=4)
    metadata = {"metadata": {"path": str(folder)}}
    NotebookClient(notebook, timeout=600, kernel_name=kernel, resources=metadata).execute()
    return notebook


def outputs(notebook: nbformat.NotebookNode, name: str) -> str:
    """What a cell shows, as text."""
    cell = next(cell for cell in notebook.cells if cell["id"] == name)
    shown = []
    for out in cell.outputs:
        data = out.get("data", {})
        shown.append(out.get("text") or data.get("text/markdown") or data.get("text/plain", ""))
    return "".join(shown)


def test_there_are_notebooks():
    assert [path.name for path in NOTEBOOKS] == ["astrometry.ipynb", "five_questions.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_stored_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


@pytest.mark.drill
@pytest.mark.slow
def test_five_questions_are_answered(kernel, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    notebook = executed(FOLDER / "five_questions.ipynb", kernel, work)
    said = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert not [out for out in said if out.get("name") == "stderr"]
    # Two sources burst in two observations each; three looked.
    assert outputs(notebook, "repeated").count("EXOD J") == 2
    assert "0900000101_0_50_0.2_12.0" in outputs(notebook, "fast")
    for name in ("draw", "detector"):
        cell = next(cell for cell in notebook.cells if cell["id"] == name)
        assert any("image/png" in out.get("data", {}) for out in cell.outputs)
    assert "have a star nearby" in outputs(notebook, "counterparts")
    expected, found = (float(x) for x in outputs(notebook, "alarms").split("all")[1].split())
    assert expected == pytest.approx(27, rel=0.35)
    assert abs(found - expected) < 4 * expected**0.5
    assert "0900000301" in outputs(notebook, "limits")
    assert "0900000101" not in outputs(notebook, "limits")
    assert list(work.iterdir()) == []


@pytest.mark.drill
@pytest.mark.slow
def test_offsets_are_described(kernel, tmp_path):
    notebook = executed(FOLDER / "astrometry.ipynb", kernel, tmp_path)
    said = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    assert not [out for out in said if out.get("name") == "stderr"]
    assert outputs(notebook, "angles") == "(5.0, 8.66)"
    (alert,) = [line.split() for line in outputs(notebook, "alerts").splitlines()[1:]]
    assert alert[1:3] == ["all", "dy"]
    assert float(alert[3]) == pytest.approx(2016.2, abs=0.3)
    assert "'amplitude (arcsec)': 0.1" in outputs(notebook, "season")
    (cell,) = [cell for cell in notebook.cells if cell["id"] == "history"]
    assert any("image/png" in out.get("data", {}) for out in cell.outputs)
