"""The product of the explorer: made when it is behind, and only then; what is missing is said."""

from __future__ import annotations

import io
import math
import shutil
import signal
import threading
from functools import partial
from itertools import chain, pairwise
from pathlib import Path
from threading import Event

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from helpers.explored import make_explored, make_unexplored
from helpers.query_archives import add_products
from helpers.survey_archives import make_survey
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from exod.archive import Archive, open_archive
from exod.archive.derived import EXPLORER
from exod.archive.increments import deriving
from exod.archive.questions.sql import Question
from exod.archive.snapshot import Snapshot
from exod.errors import ArchiveError
from exod.schemas.columns import Column, Table
from exod.schemas.facets import FACETS, MISSING
from exod.stages.explore import making
from exod.stages.explore.fields import outline
from exod.stages.explore.index import IndexTable, Labels
from exod.stages.explore.lightcurves import light_curve_rows
from exod.stages.explore.making import make_explorer
from exod.stages.explore.writing import RowGroups, encoded, without_nan
from exod.web.product import Product


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """An archive with the product; not to be changed."""
    return make_explored(tmp_path_factory.mktemp("explorer") / "results", n_sources=4)


@pytest.fixture
def copied(made: Archive, tmp_path: Path) -> Archive:
    return open_archive(str(shutil.copytree(made.root, tmp_path / "copy")))


def read(archive: Archive, table: str) -> pa.Table:
    pointer = archive.derived(EXPLORER)
    file = next(file for file in pointer.files if file.table == table)
    return pq.read_table(archive.store.path(file.path))


def test_it_is_made_anew_when_something_has_changed(copied: Archive) -> None:
    first = make_explorer(copied)
    assert not first.made
    said: list[str] = []
    add_products(copied)
    again = make_explorer(copied, on_step=said.append)
    assert again.made
    assert again.version != first.version
    assert said
    assert not make_explorer(copied).made
    assert make_explorer(copied, force=True).made


@pytest.mark.parametrize(
    ("product", "run"), [("unique", "cluster"), ("features", "features"), ("flags", "flags")]
)
def test_a_product_that_it_needs_is_named_with_its_command(
    copied: Archive, product: str, run: str
) -> None:
    shutil.rmtree(Path(copied.root, product))
    with pytest.raises(ArchiveError, match=f"no {product} yet.*`exod {run} "):
        make_explorer(copied)


def test_an_archive_without_detections_has_pages_of_nothing(tmp_path: Path) -> None:
    archive = make_survey(tmp_path / "empty", n_observations=1, n_sources=0)
    add_products(archive)
    made = make_explorer(archive)
    assert (made.n_sources, made.n_detections) == (0, 0)
    for table in ("sources", "sources_index", "detections", "lightcurves"):
        assert read(archive, table).num_rows == 0
    assert read(archive, "observations").num_rows == 1
    # A site has no density of nothing.
    assert Product(archive).density == {}


def test_all_that_is_missing_is_said_at_once(tmp_path: Path) -> None:
    archive = make_survey(tmp_path / "empty", n_observations=1, n_sources=0)
    with pytest.raises(ArchiveError, match=r"cluster .*, then `exod features .*, then `exod flags"):
        make_explorer(archive)


@given(arrays(bool, st.tuples(st.integers(0, 6), st.integers(0, 6))))
def test_outlines_are_between_what_is_covered_and_what_is_not(mask: np.ndarray) -> None:
    lines = outline(mask)
    upright = lines[lines[:, 0] == lines[:, 2]]
    flat = lines[lines[:, 1] == lines[:, 3]]
    assert len(upright) + len(flat) == len(lines)
    for row, column in np.ndindex(mask.shape):
        # A way out of the field crosses an odd number of lines, along either axis.
        right = (upright[:, 0] > column) & (upright[:, 1] <= row) & (row < upright[:, 3])
        up = (flat[:, 1] > row) & (flat[:, 0] <= column) & (column < flat[:, 2])
        assert (right.sum() % 2 == 1) == (up.sum() % 2 == 1) == mask[row, column]


def test_fields_and_cutouts_are_those_of_the_images(made: Archive) -> None:
    runs = made.runs.compute(scheduler="sync").set_index("runid")
    images = made.images.compute(scheduler="sync").set_index("runid")["n"]
    fields = read(made, "fields").to_pylist()
    assert [field["obsid"] for field in fields] == sorted(set(runs["obsid"]))
    for field in fields:
        np.testing.assert_array_equal(field["n"], images[field["runid"]])
    regions = made.regions.compute(scheduler="sync").set_index("detid")
    best = set(made.unique.compute(scheduler="sync")["best_detid"])
    cutouts = read(made, "cutouts").to_pylist()
    assert {row["detid"] for row in cutouts} == set(regions.index)
    for row in cutouts:
        region = regions.loc[row["detid"]]
        run = runs.loc[region["runid"]]
        side = 41 if row["detid"] in best else 17
        assert (len(row["n"]), row["y"]) == (side**2, region["y_centroid"])
        image = np.reshape(images[region["runid"]], (run["y_hi"] - run["y_lo"], -1))
        middle = image[row["y"] - run["y_lo"], row["x"] - run["x_lo"]]
        assert row["n"][side**2 // 2] == middle


def test_counterparts_have_facets() -> None:
    names = {"simbad_sep_arcsec": pa.float64(), "simbad_otype": pa.string()}
    names |= {"glade_sep_arcsec": pa.float64(), "glade_Type": pa.string(), "kind": pa.string()}
    columns = [Column(name, kind, "", "", nullable=True) for name, kind in names.items()]
    rows = pa.table(
        [[0.5, None], ["Fl*", None], [3.0, 200.0], ["G", "Q"], ["peak", "peak"]], [*names]
    )
    table = Table("sources", "", tuple(columns), ())
    seen = Labels(table)
    assert list(seen.seen([rows])) == [rows]
    labels = seen.found
    assert labels == {"otype": ["Fl*"], "glade_Type": ["G", "Q"], "kind": ["peak"]}
    facets = [facet.name for facet, _ in IndexTable.of(table, labels).facets]
    assert sorted(facets) == ["glade_Type", "glade_sep", "kind", "latitude", "otype", "simbad_sep"]


def test_rows_are_those_of_the_archive_and_the_index_is_in_their_order(made: Archive) -> None:
    rows, index = read(made, "detections").to_pandas(), read(made, "detections_index").to_pandas()
    regions = made.regions.compute(scheduler="sync").set_index("detid")
    assert sorted(rows["detid"]) == sorted(regions.index)
    assert index["hp6"].is_monotonic_increasing
    for name in ("duration", "excess", "sigma_peak"):
        wanted = regions.loc[rows["detid"], name].to_numpy()
        np.testing.assert_array_equal(rows[name].to_numpy(float), wanted)
        np.testing.assert_array_equal(index[f"{name}_f4"], wanted.astype(np.float32))
    sigma = FACETS["detections"][0]
    for value, code in zip(rows["sigma_peak"], index["sigma"], strict=True):
        assert code == (MISSING if math.isnan(value) else min(int(value / 0.16), 63))
    assert sigma.name == "sigma"


def test_light_curves_of_a_source_are_together(made: Archive) -> None:
    curves = read(made, "lightcurves").to_pandas()
    order = ["region_num", "detid", "time"]
    pd.testing.assert_frame_equal(curves[order], curves[order].sort_values(order))


@given(st.lists(st.floats(allow_infinity=True) | st.just(math.nan) | st.none(), max_size=20))
def test_numbers_that_are_not_are_null_and_others_are_themselves(values: list) -> None:
    table = Table("some", "", (Column("x", pa.float64(), "", "", nullable=True),), ())
    found = without_nan(pa.table({"x": pa.array(values, pa.float64())}), table)["x"].to_pylist()
    assert found == [None if v is None or math.isnan(v) else v for v in values]


@given(st.lists(st.integers(0, 9), max_size=8), st.integers(1, 7))
def test_groups_have_their_size_and_all_rows_in_order(sizes: list[int], size: int) -> None:
    starts = np.cumsum([0, *sizes])
    parts = [pa.table({"n": np.arange(a, b)}) for a, b in pairwise(starts)]
    written, schema = io.BytesIO(), pa.schema({"n": pa.int64()})
    with RowGroups(written, schema, size, partial(encoded, layout={}), Event()) as groups:
        for part in parts:
            groups.write(part)
        groups.finish()
    with pq.ParquetFile(written) as file:
        found = [file.read_row_group(n)["n"].to_pylist() for n in range(file.num_row_groups)]
    assert list(chain(*found)) == list(range(starts[-1])) == list(range(groups.rows))
    assert all(len(part) == size for part in found[:-1])
    assert all(0 < len(part) <= size for part in found)


def test_light_curves_of_what_has_not_changed_are_kept(
    copied: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_anew: list[object] = []

    def noted(snapshot: Snapshot, obsids: object = None) -> object:
        read_anew.append(obsids)
        return light_curve_rows(snapshot, obsids)

    monkeypatch.setattr(making, "light_curve_rows", noted)
    add_products(copied)
    make_explorer(copied)
    # They are as they were, whatever else was made anew.
    assert not read_anew
    before = {file.table: file.path for file in copied.derived(EXPLORER).files}
    flags = copied.derived("flags")
    with deriving(copied.store, "flags", ()) as new:
        new.files, new.attempts = list(flags.files), flags.attempts
    make_explorer(copied)
    after = {file.table: file.path for file in copied.derived(EXPLORER).files}
    same = {table for table, path in after.items() if before[table] == path}
    assert same == {"lightcurves", "neighbours", "cutouts", "fields", "cells"}
    changed = copied.entries()[1].obsid
    tables = copied.observation(changed)
    tables["lightcurves"]["mu"] *= 2
    copied.commit(changed, "OK", tables)
    add_products(copied)
    make_explorer(copied)
    assert read_anew == [(changed,)]
    names = ("lightcurves", "neighbours", "detections")
    kept = {name: read(copied, name) for name in names}
    # If files mean something else nothing of the earlier ones is right.
    monkeypatch.setattr(making, "_VERSION", 0)
    make_explorer(copied)
    assert read_anew == [(changed,), None]
    for name in names:
        assert read(copied, name).equals(kept[name])


def test_an_interruption_ends_what_is_being_read_and_leaves_nothing(
    copied: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, files = copied.derived(EXPLORER), sorted(Path(copied.root, EXPLORER).rglob("*"))

    def endless(snapshot: Snapshot) -> pd.DataFrame:
        number = Column("n", pa.int64(), "", "")
        table, text = (
            Table("numbers", "", (number,), ()),
            "SELECT sum(range) FROM range(1000000000000000)",
        )
        question = Question(snapshot, table, text, "", "numbers", {})
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        return pd.concat(question.frames())

    monkeypatch.setattr(making, "coverage_rows", endless)
    # Processes in which tests run may ignore it.
    earlier = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            make_explorer(copied, force=True)
    finally:
        signal.signal(signal.SIGINT, earlier)
    assert copied.derived(EXPLORER) == before
    assert sorted(Path(copied.root, EXPLORER).rglob("*")) == files


def test_a_damaged_product_is_a_sentence(tmp_path: Path) -> None:
    archive = make_unexplored(tmp_path / "results", n_sources=2)
    path = next(Path(archive.root, "features").glob("*/features-0.parquet"))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ArchiveError, match="features"):
        make_explorer(archive)
    assert archive.derived(EXPLORER) is None
