"""An archive of XMM-Newton and Chandra: what is said of one is not said of the other."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from helpers.faults import GOOD

from exod.archive import Archive, open_archive
from exod.config import Config
from exod.errors import InputError
from exod.pps import find_observations
from exod.scheduler.plan import Plan
from exod.simulate.acisobservation import AcisModel, simulate_acis
from exod.simulate.lights.lightmodels import BoxBurst
from exod.simulate.models import SourceModel
from exod.stages.catalogue.release import write_catalogue
from exod.stages.derive.cluster import cluster_archive
from exod.stages.derive.depth import make_depth
from exod.stages.derive.features import make_features
from exod.stages.derive.flags import make_flags
from exod.stages.derive.rectify import rectify_archive
from exod.stages.detect.survey import detect_many
from exod.stages.explore.making import make_explorer
from exod.stages.inputs.simulate import write_acis
from exod.stages.places.choosing import covering_observations
from exod.stages.places.surveycoverage import archive_coverage
from exod.web.product import Product
from exod.web.vo.descriptions import Publisher, resource

HERE = Plan("sync")
CHANDRA = "901"
MODEL = AcisModel(CHANDRA, 150.0, 2.0, 40.0, 1e8, 4000.0)


@pytest.fixture(scope="module")
def archive(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """A short observation of each, of which that of Chandra has a burst."""
    folder = tmp_path_factory.mktemp("mixed")
    burst = BoxBurst(MODEL.start + 1500.0, 300.0)
    source = SourceModel("burst", MODEL.ra_pnt, MODEL.dec_pnt + 0.01, {"ACIS": 0.2}, burst)
    write_acis(simulate_acis(replace(MODEL, sources=(source,)), 5), folder / "lists")
    lists, _ = find_observations([str(small / GOOD), str(folder / "lists")])
    config = Config.parse({"cube": {"t_bin": [200.0], "bands": [[0.2, 12.0]]}})
    root = str(folder / "results")
    assert len(list(detect_many(lists, config, root, HERE))) == 2
    found = open_archive(root)
    make_features(found, HERE)
    make_flags(found, None, HERE)
    rectify_archive(found, HERE)
    cluster_archive(found, HERE)
    assert not make_depth(found, HERE).failures
    return open_archive(root)


def test_no_flux_is_by_the_factors_of_another_telescope(archive):
    rows = archive.features.compute()
    own = rows[rows["obsid"] == CHANDRA]
    assert len(own)
    assert set(own["flux_note"]) == {"No factor for the camera ACIS."}
    assert own.filter(regex="flu(x|ence)").drop(columns="flux_note").isna().all(axis=None)


def test_limits_are_of_the_energies_that_were_searched(archive):
    place = MODEL.ra_pnt, MODEL.dec_pnt + 0.01
    (row,) = archive.limits(*place).to_dict("records")
    assert (row["obsid"], row["e_lo"], row["e_hi"]) == (CHANDRA, 0.5, 7.0)
    assert row["rate"] * row["seconds"] == pytest.approx(60, abs=30)
    assert np.isnan([row["flux"], row["flux_hi"], row["flux50"]]).all()
    about = archive.table("observations").compute().set_index("obsid").loc[GOOD]
    xmm = archive.limits(about["ra_pnt"] + 0.03, about["dec_pnt"])
    assert xmm[["obsid", "e_lo", "e_hi"]].values.tolist() == [[GOOD, 0.2, 12.0]]
    assert np.isfinite(xmm["flux_hi"]).all()


def test_coverage_says_what_has_no_flux_limit(archive, command, tmp_path):
    found = archive_coverage(archive)
    # Four CCDs of 8.4 arcmin, with the parts of 0.9 arcmin that their motion takes them over.
    assert 4 * (8.4 / 60) ** 2 < found.without_flux < (19.5 / 60) ** 2
    assert found.areas[-1] == pytest.approx(found.area - found.without_flux)
    code, said, _ = command("coverage", archive.root, "--to", str(tmp_path))
    assert code == 0
    assert "; of 0.0" in said
    assert "deg² no flux limit is known." in said


def test_commands_take_regions_and_places_of_each(archive, command, tmp_path):
    """Rings of Chandra have cells of their own; the place is far out in numbers of the others."""
    regions = archive.table("regions").compute()
    region = regions[regions["obsid"] == CHANDRA].iloc[0]
    at = f"{region['ra_deg']},{region['dec_deg']}"
    told, pictures = {}, ("--plots", str(tmp_path))
    for name, *rest in (
        ("events", region["detid"], "--to", str(tmp_path / "events.csv")),
        (
            "lightcurve",
            "--at",
            at,
            "--t-bin",
            "200",
            *pictures,
            "--to",
            str(tmp_path / "curve.csv"),
        ),
        ("lightcurve", "--like", region["detid"], *pictures, "--to", str(tmp_path / "like.csv")),
        ("image", CHANDRA, "--t-bin", "200", "--to", str(tmp_path)),
        ("spectrum", region["detid"], "--to", str(tmp_path)),
    ):
        told[name] = command(name, archive.root, *rest)
        assert told[name][0] == (name == "spectrum"), told[name]
    assert "the channels and areas of ACIS are not known here" in told["spectrum"][2]
    assert len(pd.read_csv(tmp_path / "events.csv")) >= 30
    like, curve = (pd.read_csv(tmp_path / name) for name in ("like.csv", "curve.csv"))
    assert set(curve["runid"]) == {region["runid"]}
    assert like["n"].max() >= curve["n"].max() >= 20
    assert (tmp_path / f"{CHANDRA}_0_200_0.5_7.0_field.fits").exists()


@pytest.mark.parametrize("mission", ["xmm", "chandra"])
def test_a_place_is_in_the_fields_that_cover_it(archive, mission):
    obsid = {"xmm": GOOD, "chandra": CHANDRA}[mission]
    about = archive.table("observations").compute().set_index("obsid").loc[obsid]
    for offset in (0.0, 0.1, -0.1):
        (found,) = covering_observations(archive, about["ra_pnt"], about["dec_pnt"] + offset)
        assert found.obsid == obsid
    with pytest.raises(InputError, match=r"is not in any of the 2 fields .* points 1\.5 deg away"):
        covering_observations(archive, about["ra_pnt"], about["dec_pnt"] + 1.5)


def test_a_release_and_a_registry_name_both_telescopes(archive, tmp_path):
    made = write_catalogue(archive.root, tmp_path / "release", HERE, hats=False)
    assert "2 observations by XMM-Newton and Chandra." in (made.folder / "README.md").read_text()
    with fits.open(made.folder / "detections.fits") as file:
        header = file[1].header
        assert header["TELESCOP"] == "XMM-Newton and Chandra"
        assert header["INSTRUME"] == "EPIC and ACIS"
    make_explorer(archive, plan=HERE)
    product = Product(archive)
    text = resource(product, {}, "http://here/", Publisher("a", "us"))
    assert "<title>Fast X-ray transients of XMM-Newton and Chandra: results</title>" in text
    assert "in observations of XMM-Newton and Chandra." in text
