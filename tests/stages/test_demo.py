"""The demo: from simulated photons to the catalogue and its report."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from astropy.table import Table
from typer.testing import CliRunner

from exod.archive import open_archive
from exod.cli import app
from exod.scheduler.plan import Plan
from exod.stages import demo

SHORT = {
    "0900000101": {"duration": 6000.0, "n_flares": 0, "cameras": ("EMOS1", "EMOS2")},
    "0900000201": {"duration": 5000.0, "n_flares": 0, "cameras": ("EMOS1",)},
}


@pytest.fixture(scope="module")
def shown(tmp_path_factory) -> tuple[Path, str]:
    """The folder of a short demo, and what was said; not to be changed."""
    folder = tmp_path_factory.mktemp("shown") / "demo"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(demo, "OBSERVATIONS", SHORT)
        patch.setattr(demo, "LIGHT_CURVES", 1)
        done = CliRunner().invoke(app, ["demo", str(folder), "--scheduler", "sync"])
    assert done.exit_code == 0, done.output
    return folder, done.output


@pytest.mark.slow
def test_it_ends_with_a_catalogue_and_a_report(shown):
    folder, said = shown
    assert f"Catalogue: {folder / 'catalogue'}" in said
    assert "without HATS" not in said
    assert (folder / "catalogue" / "hats").is_dir()
    assert_complete(folder)
    # What was put in is the catalogue of known sources.
    near = open_archive(folder / "archive").matches("simulated").compute()
    known = pd.read_csv(folder / "data" / "known_sources.csv")
    varying = (known["kind"] != "constant").sum()
    found = near.loc[near["simulated_kind"] != "constant", ["simulated_obsid", "simulated_name"]]
    assert varying / 2 <= len(found.dropna().drop_duplicates()) <= varying


@pytest.mark.drill
@pytest.mark.slow
def test_without_its_libraries_there_is_no_hats(shown, tmp_path, monkeypatch):
    folder = shutil.copytree(shown[0], tmp_path / "demo")
    monkeypatch.setattr(demo, "find_spec", lambda name: None)
    truth = pd.concat(
        pd.read_csv(folder / "data" / obsid / f"{obsid}_truth.csv").assign(obsid=obsid)
        for obsid in SHORT
    )
    said: list[str] = []
    demo._release(folder, open_archive(folder / "archive"), truth, Plan("sync"), said.append)
    assert any("without HATS" in line for line in said)
    assert not (folder / "catalogue" / "hats").exists()
    assert_complete(folder)


def assert_complete(folder):
    sources = Table.read(folder / "catalogue" / "sources.fits")
    assert len(sources) == len(open_archive(folder / "archive").unique) > 0
    page = (folder / "catalogue" / "report.html").read_text(encoding="utf-8")
    assert "The most significant sources" in page
    assert not re.search(r'(src|href)="(?!data:|#|https://(simbad|sky))', page)
