"""The demo: from simulated photons to the catalogue and its report."""

import re

import pandas as pd
import pytest
from astropy.table import Table
from typer.testing import CliRunner

from exod.archive import open_archive
from exod.cli import app
from exod.stages import demo

SHORT = {
    "0900000101": {"duration": 6000.0, "n_flares": 0, "cameras": ("EMOS1", "EMOS2")},
    "0900000201": {"duration": 5000.0, "n_flares": 0, "cameras": ("EMOS1",)},
}


@pytest.mark.slow
@pytest.mark.parametrize("hats", [True, False])
def test_it_ends_with_a_catalogue_and_a_report(tmp_path, monkeypatch, hats):
    monkeypatch.setattr(
        demo, "OBSERVATIONS", SHORT if hats else {"0900000101": {**SHORT["0900000201"]}}
    )
    monkeypatch.setattr(demo, "LIGHT_CURVES", 1)
    if not hats:
        monkeypatch.setattr(demo, "find_spec", lambda name: None)
    done = CliRunner().invoke(app, ["demo", str(tmp_path / "demo"), "--scheduler", "sync"])
    assert done.exit_code == 0, done.output
    folder = tmp_path / "demo" / "catalogue"
    assert f"Catalogue: {folder}" in done.output
    assert ("without HATS" in done.output) is not hats
    assert (folder / "hats").is_dir() is hats
    sources = Table.read(folder / "sources.fits")
    archive = open_archive(tmp_path / "demo" / "archive")
    assert len(sources) == len(archive.unique) > 0
    # What was put in is the catalogue of known sources.
    near = archive.matches("simulated").compute()
    known = pd.read_csv(tmp_path / "demo" / "data" / "known_sources.csv")
    varying = (known["kind"] != "constant").sum()
    found = near.loc[near["simulated_kind"] != "constant", ["simulated_obsid", "simulated_name"]]
    assert varying / 2 <= len(found.dropna().drop_duplicates()) <= varying
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "The most significant sources" in page
    assert not re.search(r'(src|href)="(?!data:|#|https://(simbad|sky))', page)
