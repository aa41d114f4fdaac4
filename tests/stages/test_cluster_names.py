"""Names and numbers of sources: in any order of observations, and from one archive to another."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from helpers.cluster_archives import FIELD, HERE, add, spots, tables

from exod.archive import Archive
from exod.catalogue.readme import KIND, MANIFEST
from exod.config import Config
from exod.errors import ArchiveError, ConfigError, InputError
from exod.stages.derive.cluster import cluster_archive
from exod.stages.derive.cluster.adopted import read_adopted

PLACES = spots((0, 0), (60, 10), (-70, 40), (12, -90))
NUMBERS = (3, 1, 2)


def made(path: Path, order=NUMBERS, *, each: bool = False, **options) -> Archive:
    """An archive of observations in an order, clustered after each or at the end."""
    archive = Archive.create(path, Config())
    for number in order:
        # The third observation does not have the last source.
        rows = PLACES[:-1] if number == 3 else PLACES
        add(archive, number, rows, FIELD, jitter_arcsec=2.0)
        if each:
            cluster_archive(archive.root, HERE, **options)
    cluster_archive(archive.root, HERE, **options)
    return archive


def names(archive: Archive) -> dict[tuple[str, ...], str]:
    """The name of each source, by its regions."""
    groups = archive.members.compute().groupby("region_num")
    return {tuple(sorted(rows["detid"])): rows["srcid"].iloc[0] for _, rows in groups}


def numbered(archive: Archive) -> pd.DataFrame:
    rows = archive.unique.compute().sort_values("srcid", ignore_index=True)
    return rows[["region_num", "srcid"]]


@pytest.fixture(scope="module")
def fresh(tmp_path_factory) -> Archive:
    return made(tmp_path_factory.mktemp("fresh") / "archive")


@pytest.mark.parametrize(
    ("rule", "order"),
    [
        ("published", (1, 2, 3)),
        ("friends", (3, 2, 1)),
        pytest.param("published", (3, 2, 1), marks=pytest.mark.drill),
        pytest.param("friends", (1, 2, 3), marks=pytest.mark.drill),
    ],
)
def test_names_do_not_depend_on_the_order(fresh, tmp_path, order, rule):
    archive = made(tmp_path / "archive", order, each=True, rule=rule)
    assert len(names(archive)) == len(PLACES)
    assert names(archive) == names(fresh)
    lineage = archive.lineage.compute()
    renamed = lineage[lineage["change"] == "renamed"]
    # Only an observation before those that were there names sources otherwise.
    assert bool(len(renamed)) == (order == (3, 2, 1))
    assert set(renamed["region_num"]) <= set(lineage.loc[lineage["change"] == "new", "region_num"])


def test_names_stay_for_ever_if_they_are_to(tmp_path):
    archive = made(tmp_path / "archive", (3,), keep_names=True)
    before = numbered(archive)
    for number in (2, 1):
        add(archive, number, PLACES, FIELD, jitter_arcsec=2.0)
        cluster_archive(archive.root, HERE)
    after = numbered(archive).set_index("region_num")["srcid"]
    assert after[before["region_num"]].tolist() == before["srcid"].tolist()
    cluster_archive(archive.root, HERE, keep_names=False)
    assert set(archive.lineage.compute()["change"]) == {"new", "renamed"}


def test_an_observation_that_is_processed_again_names_nothing_anew(tmp_path):
    archive = made(tmp_path / "archive", (1,))
    before = numbered(archive)
    add(archive, 1, PLACES, FIELD, jitter_arcsec=2.0, seed=99)
    cluster_archive(archive.root, HERE)
    pd.testing.assert_frame_equal(numbered(archive), before)
    add(archive, 2, PLACES, FIELD, jitter_arcsec=2.0)
    cluster_archive(archive.root, HERE)
    pd.testing.assert_frame_equal(numbered(archive), before)


@pytest.mark.parametrize("kind", ["archive", "fits", "parquet", "csv"])
def test_names_and_numbers_come_from_elsewhere(fresh, tmp_path, kind):
    """Numbers in another order, a name by hand, and one source that is not here any more."""
    sources = fresh.unique.compute()[["srcid", "ra_deg", "dec_deg", "region_num"]]
    place: str = fresh.root
    if kind != "archive":
        from astropy.table import Table

        sources["region_num"] = [40, 7, 12, 30]
        sources.loc[0, "srcid"] = "EXOD J1"
        gone = {"srcid": "EXOD J0", "ra_deg": 10.0, "dec_deg": 5.0, "region_num": 50}
        sources = pd.concat([sources, pd.DataFrame([gone])], ignore_index=True)
        place = str(tmp_path / f"names.{kind}")
        Table.from_pandas(sources.astype({"srcid": object})).write(place)
    archive = made(tmp_path / "archive", names_from=place)
    expected = sources[sources["srcid"] != "EXOD J0"].sort_values("srcid", ignore_index=True)
    expected = expected[["region_num", "srcid"]]
    pd.testing.assert_frame_equal(numbered(archive), expected, check_dtype=False)
    # They stay, and what is new goes on after them.
    add(archive, 5, spots((300, 300)), FIELD)
    cluster_archive(archive.root, HERE)
    after = numbered(archive).set_index("region_num")["srcid"]
    assert after[expected["region_num"]].tolist() == expected["srcid"].tolist()
    assert after.index.max() == (len(PLACES) if kind == "archive" else 51)
    if kind == "csv":
        add(archive, 6, spots((0, 0), centre=(10.0, 5.0)), (10.0, 5.0))
        cluster_archive(archive.root, HERE)
        assert numbered(archive).set_index("region_num")["srcid"][50] == "EXOD J0"


@pytest.mark.parametrize("folder", ["hats/sources", "hats", "release"])
def test_names_come_from_a_hats_catalogue(fresh, tmp_path, folder):
    """Whole, in the folder of catalogues, or what was kept of a release."""
    sources = fresh.unique.compute()[["srcid", "ra_deg", "dec_deg", "region_num"]]
    sources["region_num"] = [40, 7, 12, 30]
    release = tmp_path / "release"
    catalogue = release / "hats" / "sources"
    for pixel, rows in enumerate((sources[:1], sources[1:])):
        part = catalogue / "dataset" / "Norder=0" / "Dir=0" / f"Npix={pixel}.parquet"
        part.parent.mkdir(parents=True, exist_ok=True)
        rows.to_parquet(part, index=False)
    (catalogue / "dataset" / "_metadata").write_bytes(b"of all")
    (catalogue / "hats.properties").write_text("obs_collection=sources\n")
    (release / MANIFEST).write_text(json.dumps({"kind": KIND}))
    found = read_adopted(release if folder == "release" else release / folder)
    pd.testing.assert_frame_equal(
        found.rows[sources.columns], sources.reset_index(drop=True), check_dtype=False
    )
    assert found.next_number == 41


def test_what_was_not_observed_is_not_gone(fresh, tmp_path):
    """Only a source whose place was looked at can be gone; both come back with their names."""
    beside = {"ra_deg": PLACES[0][0], "dec_deg": PLACES[0][1] + 0.03}
    there = fresh.unique[["region_num", "srcid", "ra_deg", "dec_deg"]].compute()
    extra = [
        {"region_num": 50, "srcid": "EXOD looked at"} | beside,
        {"region_num": 51, "srcid": "EXOD elsewhere", "ra_deg": 10.0, "dec_deg": 5.0},
        {"region_num": 52, "srcid": "EXOD far", "ra_deg": 200.0, "dec_deg": -70.0},
    ]
    pd.concat([there, pd.DataFrame(extra)]).to_csv(tmp_path / "there.csv", index=False)
    archive = made(tmp_path / "archive", names_from=tmp_path / "there.csv")
    counts = archive.derived("unique").summary
    assert (counts["n_adopted"], counts["n_gone"], counts["n_unobserved"]) == (len(PLACES), 1, 2)
    lineage = archive.lineage.compute().set_index("region_num")["change"]
    assert lineage[[50, 51, 52]].tolist() == ["gone", "unobserved", "unobserved"]
    add(archive, 6, spots((0, 0), centre=(10.0, 5.0)), (10.0, 5.0))
    cluster_archive(archive.root, HERE)
    assert numbered(archive).set_index("region_num")["srcid"][51] == "EXOD elsewhere"
    counts = archive.derived("unique").summary
    assert (counts["n_returned"], counts["n_gone"], counts["n_unobserved"]) == (1, 0, 0)


def test_decimals_of_names(tmp_path, command):
    archive = Archive.create(tmp_path / "archive", Config())
    add(archive, 1, PLACES, FIELD)
    assert command("cluster", archive.root, "--name-decimals", "2,3")[0] == 0
    before = numbered(archive)
    assert before["srcid"].str.fullmatch(r"EXOD J\d{6}\.\d\d[+-]\d{6}\.\d{3}").all()
    add(archive, 2, spots((300, 300)), FIELD)
    assert command("cluster", archive.root)[0] == 0
    after = numbered(archive)
    assert after["srcid"].str.fullmatch(r"EXOD J\d{6}\.\d\d[+-]\d{6}\.\d{3}").all(), "as before"
    assert set(before["srcid"]) < set(after["srcid"])
    for wrong in ("2", "2,5", "x,y", "-1,2"):
        code, _, said = command("cluster", archive.root, f"--name-decimals={wrong}")
        assert code == 2
        assert "0 to 4" in said


@pytest.mark.parametrize(
    "place",
    ["beside", *(pytest.param(place, marks=pytest.mark.drill) for place in ("far", "none"))],
)
def test_sources_elsewhere_give_no_names(fresh, tmp_path, place):
    """Also none of the others is near a partition of the sky, or the other table is empty."""
    away = {"beside": 40 / 3600, "far": 60.0, "none": 0.0}[place]
    there = fresh.unique[["region_num", "srcid", "ra_deg", "dec_deg"]].compute()
    there["dec_deg"] -= away * (1 if there["dec_deg"].min() > 0 else -1)
    there["srcid"] = [f"EXOD elsewhere {number}" for number in range(len(there))]
    there.head(0 if place == "none" else None).to_csv(tmp_path / "there.csv", index=False)
    for earlier in (False, True):
        archive = made(tmp_path / f"archive-{earlier}") if earlier else None
        if archive is None:
            archive = Archive.create(tmp_path / "new", Config())
            add(archive, 1, PLACES, FIELD, jitter_arcsec=2.0)
        expected = (names(archive), numbered(archive)) if earlier else None
        cluster_archive(archive.root, HERE, names_from=tmp_path / "there.csv")
        found = names(archive)
        assert len(found) == len(PLACES)
        assert not any("elsewhere" in name for name in found.values())
        if expected is not None:
            assert found == expected[0]
            pd.testing.assert_frame_equal(numbered(archive), expected[1])


def test_numbers_stay_where_there_are_some(fresh, tmp_path):
    archive = made(tmp_path / "archive", (3, 2))
    before = tables(archive)["unique"]
    rows = before[["srcid", "ra_deg", "dec_deg"]].assign(srcid=[f"EXOD J{n}" for n in range(4)])
    rows.to_csv(tmp_path / "names.csv", index=False)
    cluster_archive(archive.root, HERE, names_from=tmp_path / "names.csv")
    after = tables(archive)
    assert after["unique"]["srcid"].tolist() == rows["srcid"].tolist()
    same = ["region_num", "ra_deg", "dec_deg", "n_detections"]
    pd.testing.assert_frame_equal(after["unique"][same], before[same])
    assert after["lineage"]["change"].value_counts().to_dict() == {"new": 4, "renamed": 4}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("srcid,ra_deg\nA,1\n", "has no column dec_deg"),
        ("srcid,ra_deg,dec_deg\nA,1,2\nA,3,4\n", "has the srcid A twice"),
        ("srcid,ra_deg,dec_deg,region_num\nA,1,2,3\nB,3,4,3\n", "has the region_num 3 twice"),
        ("srcid,ra_deg,dec_deg\nA,1,2\nB,3,94\n", "without a name .*, a position .* in row 2"),
        ("srcid,ra_deg,dec_deg\nA,1,2\nB,x,4\n", "position or a number that is none"),
        ("srcid,ra_deg,dec_deg,region_num\nA,1,2,0\nB,3,4,1.5\n", "or a number that is none"),
        ("srcid,ra_deg,dec_deg,region_num\nA,1,2,9223372036854775807\n", "1 source without"),
        ('srcid,ra_deg,dec_deg\n"A\nB",1,2\n', "a name .of one line.* in row 1"),
        ("srcid,ra_deg,dec_deg\nA\x1b[31m,1,2\n", "a name .of one line.* in row 1"),
        (f"srcid,ra_deg,dec_deg\n{'A' * 101},1,2\n", "at most 100 characters.* in row 1"),
    ],
)
def test_bad_tables_are_told(fresh, tmp_path, text, reason):
    (tmp_path / "names.csv").write_text(text)
    with pytest.raises(InputError, match=reason):
        cluster_archive(fresh.root, HERE, names_from=tmp_path / "names.csv")


def test_of_columns_that_differ_in_case_the_exact_one_counts(fresh, tmp_path):
    rows = fresh.unique[["srcid", "ra_deg", "dec_deg"]].compute()
    rows["srcid"] = [f"EXOD J{n}" for n in range(len(rows))]
    rows.assign(RA_DEG=1.0, Dec_deg=1.0).to_csv(tmp_path / "names.csv", index=False)
    archive = made(tmp_path / "archive", (1,), names_from=tmp_path / "names.csv")
    assert sorted(names(archive).values()) == rows["srcid"].tolist()


@pytest.mark.parametrize("ending", ["parquet", "fits"])
def test_one_form_of_a_release_is_enough(fresh, tmp_path, ending):
    from astropy.table import Table

    rows = fresh.unique[["srcid", "ra_deg", "dec_deg", "region_num"]].compute()
    rows["srcid"] = [f"EXOD J{n}" for n in range(len(rows))]
    (tmp_path / MANIFEST).write_text(json.dumps({"kind": KIND}))
    Table.from_pandas(rows.astype({"srcid": object})).write(tmp_path / f"sources.{ending}")
    assert read_adopted(tmp_path).rows["srcid"].tolist() == rows["srcid"].tolist()


def test_bad_requests_are_told(fresh, tmp_path):
    with pytest.raises(ConfigError, match="rule published or friends, not 'best'"):
        cluster_archive(fresh.root, HERE, rule="best")
    with pytest.raises(ArchiveError, match="no archive"):
        cluster_archive(fresh.root, HERE, names_from=tmp_path / "nowhere")
    other = Archive.create(tmp_path / "other", Config())
    with pytest.raises(ArchiveError, match="no sources whose names could be taken over"):
        cluster_archive(fresh.root, HERE, names_from=other.root)
