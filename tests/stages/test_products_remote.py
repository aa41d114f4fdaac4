"""Products of an archive in an object store are those of the same archive in a folder."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from helpers.object_store import SECRET, no_settings, running_store
from helpers.object_store import options as options_of
from helpers.survey_archives import make_survey, observation

from exod.archive import Archive, open_archive
from exod.config import Config
from exod.counterparts.wanted import Own, wanted_catalogues
from exod.errors import ExodError
from exod.scheduler.plan import Plan
from exod.schemas.conditions import Cone, Query
from exod.stages.catalogue.release import write_catalogue
from exod.stages.derive.crossmatch import MatchSettings, crossmatch
from exod.stages.derive.update import bring_up_to_date
from exod.stages.query.rows import select
from exod.stages.query.statements import connect

pytest.importorskip("s3fs")

BUCKET = "products"
OBSID = "0700000001"
PLACE = (10.0, 20.0)
numbers = itertools.count()


@pytest.fixture(scope="module")
def options() -> Iterator[dict[str, Any]]:
    with no_settings(), running_store(BUCKET) as url:
        yield options_of(url)


def commit(archive: Archive, n_sources: int) -> None:
    positions = [(10.0 + 0.05 * i, 20.0) for i in range(n_sources)]
    archive.commit(OBSID, "OK", observation(OBSID, PLACE, positions))


def same(here: pd.DataFrame, there: pd.DataFrame) -> None:
    by = [name for name in ("region_num", "detid") if name in here][:1]
    left, right = (frame.sort_values(by, ignore_index=True) for frame in (here, there))
    pd.testing.assert_frame_equal(left.drop(columns="version", errors="ignore"), right)


@pytest.mark.drill
def test_products_in_a_bucket(tmp_path: Path, options: dict[str, Any]) -> None:
    here = Archive.create(tmp_path / "archive", Config())
    there = Archive.create(f"s3://{BUCKET}/{next(numbers)}", Config(), options)
    for archive, given in ((here, None), (there, options)):
        opened = open_archive(archive.root, given)
        for n_sources in (2, 3):
            commit(archive, n_sources)
            made = bring_up_to_date(opened, Plan("sync"))
            assert made == ["unique", "features", "flags"]
        assert bring_up_to_date(opened, Plan("sync")) == []
    for name in ("unique", "members", "features", "flags"):
        same(getattr(here, name).compute(), getattr(there, name).compute())
    assert len(there.unique) == 3
    # What the second version does not use goes, the rest is read as before.
    assert there.gc(older_than=0)
    far = open_archive(there.root, options)
    assert len(far.detections) == 9
    # Questions read it through the same file system, and nothing else of the bucket.
    with connect(far, "SELECT count(*) AS n FROM detections WHERE ra_deg > 0") as answer:
        assert [row for chunk in answer.chunks() for row in chunk.to_pylist()] == [{"n": 9}]
    asked = Query(table="detections", cone=Cone(10.0, 20.0, 5.0))
    found = [pd.concat(select(archive, asked).frames()) for archive in (here, far)]
    same(*(frame.drop(columns="srcid") for frame in found))
    with (
        pytest.raises(ExodError, match="cannot be"),
        connect(far, f"FROM regions, read_text('s3://{BUCKET}/0/archive.json')") as answer,
    ):
        next(answer.chunks())


@pytest.mark.drill
def test_a_release_of_a_bucket(tmp_path: Path, options: dict[str, Any]) -> None:
    archive = Archive.create(f"s3://{BUCKET}/{next(numbers)}", Config(), options)
    commit(archive, 2)
    bring_up_to_date(archive, Plan("sync"))
    known = tmp_path / "known.csv"
    known.write_text("ra,dec\n10.0,20.0\n")
    wanted = wanted_catalogues([str(known)], Own(ra="ra", dec="dec"))
    (matched,) = crossmatch(archive, wanted, MatchSettings(tmp_path / "cache"))
    assert matched.error is None
    assert matched.summary["matched"] == 1
    release = write_catalogue(archive, tmp_path / "release", Plan("sync"), hats=False)
    assert len(pd.read_parquet(release.folder / "sources.parquet")) == 2
    texts = [path.read_bytes() for path in release.folder.glob("*")]
    assert not any(SECRET.encode() in text for text in texts)


def test_the_first_and_the_last_observation_of_a_survey(tmp_path: Path) -> None:
    """Products of a survey do not depend on how many observations came at a time."""
    at_once = make_survey(tmp_path / "once", 4, 3)
    bring_up_to_date(at_once.root, Plan("sync"))
    bit_by_bit = make_survey(tmp_path / "bits", 2, 3)
    bring_up_to_date(bit_by_bit.root, Plan("sync"))
    for entry in at_once.entries()[2:]:
        bit_by_bit.commit(entry.obsid, "OK", at_once.observation(entry.obsid))
        bring_up_to_date(bit_by_bit.root, Plan("sync"))
    for name in ("features", "flags"):
        same(getattr(at_once, name).compute(), getattr(bit_by_bit, name).compute())
    columns = ["ra_deg", "dec_deg", "n_detections", "n_covered", "best_detid"]
    left, right = (
        archive.unique.compute().sort_values("ra_deg", ignore_index=True)[columns]
        for archive in (at_once, bit_by_bit)
    )
    pd.testing.assert_frame_equal(left, right)
