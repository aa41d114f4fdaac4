"""The published catalogue against an archive: a file of its columns, and VizieR."""

from __future__ import annotations

import csv

import pytest
from astropy.table import Table
from helpers.fake_cds import FakeCds
from helpers.survey_archives import make_survey

from exod.archive import Archive
from exod.counterparts.service import Services
from exod.errors import DownloadError, InputError
from exod.sources.comparison import FOUND, LOST, NEW, NEW_RUN, NOT_SEARCHED, OTHER_RUN
from exod.stages.derive.published import compare_published


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Archive:
    return make_survey(tmp_path_factory.mktemp("published") / "archive", 2, 3)


@pytest.fixture(scope="module")
def published(archive) -> Table:
    """Detections with the columns of the published catalogue, of all kinds of outcome.

    Of the first observation: what each of its runs has of the first source, but not what the first
    run has of the others; one where nothing is; one of a run of 5 s there; one of another archive.
    """
    regions = archive.regions.compute()
    first = regions[regions["obsid"] == regions["obsid"].min()].reset_index(drop=True)
    runid = first["runid"][0]
    rows = [(r.detid, "EXOD J1", r.ra_deg, r.dec_deg) for r in first.itertuples() if r.label == 0]
    one = first[(first["label"] == 1) & (first["runid"] != runid)].iloc[0]
    rows += [(one["detid"], "EXOD J2", one["ra_deg"], one["dec_deg"])]
    here = float(first["ra_deg"][0]), float(first["dec_deg"][0])
    lost = here[0], here[1] + 0.05 * (-1 if here[1] > 0 else 1)
    rows += [(f"{runid}_90", "EXOD J3", *lost)]
    fast = runid.replace("_50_", "_5_")
    rows += [(f"{fast}_91", "EXOD J1", *here), (f"{fast}_92", "EXOD J4", *lost)]
    rows += [("0999999901_0_50_0.2_12.0_1", "EXOD J5", *here)]
    table = Table(rows=rows, names=["EXOD_DETID", "EXOD_SRCID", "ra_deg", "dec_deg"])
    table["lc_n_max"] = 7.0
    return table


def run(archive, path, tmp_path, **services):
    return compare_published(
        archive, str(path), cache=tmp_path / "cache", services=Services(**services)
    )


@pytest.mark.parametrize("name", ["published.fits", "published.csv"])
def test_every_outcome(archive, published, tmp_path, name):
    published.write(tmp_path / name)
    found = run(archive, tmp_path / name, tmp_path)
    rows = found.comparison.rows.set_index("published_detid")
    by_number = {detid: rows.loc[detid, "outcome"] for detid in published["EXOD_DETID"][:-1]}
    assert list(by_number.values()) == [*[FOUND] * 4, LOST, OTHER_RUN, NOT_SEARCHED]
    new = found.comparison.rows[found.comparison.rows["published_detid"].isna()]
    # Two sources of the first observation, three of the second, three runs each.
    assert new["outcome"].value_counts().to_dict() == {NEW: 12, NEW_RUN: 2}
    assert found.comparison.n_elsewhere == 1
    assert (found.comparison.n_sources, found.comparison.n_sources_found) == (4, 2)
    assert (found.n_observations, found.n_published, found.n_new_sources) == (2, 1, None)


def test_vizier_is_asked_once(archive, published, tmp_path):
    cds = FakeCds()
    try:
        cds.tables["J/A+A/697/A50"] = published, "ra_deg", "dec_deg"
        options = {**cds.addresses, "attempts": 1, "wait": 0.0}
        found = run(archive, "", tmp_path, **options)
        again = run(archive, "", tmp_path, **options)
        assert found.comparison.rows.equals(again.comparison.rows)
        assert cds.asked == [("J/A+A/697/A50", 1, 0.0)]
        published.write(tmp_path / "same.fits")
        same = run(archive, tmp_path / "same.fits", tmp_path).comparison.rows
        assert same["outcome"].tolist() == found.comparison.rows["outcome"].tolist()
        short = published.copy()
        short.remove_column("EXOD_DETID")
        cds.tables["J/A+A/697/A50"] = short, "ra_deg", "dec_deg"
        with pytest.raises(DownloadError, match="lacks the columns EXOD_DETID or detid or DetID"):
            run(archive, "", tmp_path / "other", **options)
    finally:
        cds.close()


def test_bad_tables_are_told(archive, published, tmp_path):
    with pytest.raises(InputError, match="There is no file"):
        run(archive, tmp_path / "none.fits", tmp_path)
    short = published.copy()
    short.remove_column("EXOD_SRCID")
    short.write(tmp_path / "short.csv")
    with pytest.raises(InputError, match="lacks the columns EXOD_SRCID"):
        run(archive, tmp_path / "short.csv", tmp_path)
    odd = published.copy()
    odd["EXOD_DETID"][0] = "17"
    odd.write(tmp_path / "odd.csv")
    with pytest.raises(InputError, match=r"The detection '17' \(row 1\) is not named OBSID_SUBSET"):
        run(archive, tmp_path / "odd.csv", tmp_path)


def test_what_a_table_lacks_is_told_once(archive, tmp_path):
    """Positions are columns of the catalogue, too, and are named as one thing."""
    (tmp_path / "other.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError) as caught:
        run(archive, str(tmp_path / "other.csv"), tmp_path)
    lacking = str(caught.value).split("lacks the columns ")[1].partition(" of exod2_detections")[0]
    names = lacking.replace(", ", " or ").split(" or ")
    assert len(lacking.split(", ")) == 4
    assert len(set(names)) == len(names)


def test_the_command(archive, published, tmp_path, command):
    published.write(tmp_path / "published.fits")
    code, said, wrong = command(
        *("compare-published", archive.root, "--with", tmp_path / "published.fits"),
        *("--cache", tmp_path / "cache", "--to", tmp_path / "out.csv"),
    )
    assert code == 0, wrong
    assert "1 of 2 observations searched have published detections; 1 detection of others" in said
    assert "2 of 4 published sources found" in said
    assert f"To count new sources: exod cluster {archive.root}" in said
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 7 + 14
    assert rows[0]["detid"] == rows[0]["published_detid"] == published["EXOD_DETID"][0]
    assert rows[4]["outcome"] == LOST
    assert rows[4]["detid"] == rows[4]["sep_arcsec"] == ""
    assert "exod cluster" in said
    from exod.scheduler.plan import Plan
    from exod.stages.derive.cluster import cluster_archive

    cluster_archive(archive.root, Plan(scheduler="sync"))
    code, said, _ = command(
        *("compare-published", archive.root, "--with", tmp_path / "published.fits"),
        *("--cache", tmp_path / "cache"),
    )
    assert code == 0
    assert "1 unique source with new regions only" in said
    code, _, wrong = command("compare-published", archive.root, "--with", tmp_path / "no.csv")
    assert code != 0
    assert "There is no file" in wrong
