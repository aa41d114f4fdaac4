"""Limits at any place and time, against event lists that are counted again; coverage and MOC."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from helpers.faults import GOOD
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.archive import Archive, open_archive
from exod.archive.questions.depthrows import depth_of, depth_row, head_of
from exod.config import Config
from exod.counts.grid import Box, Grid
from exod.errors import ArchiveError, ConfigError
from exod.instruments.epic import XMM
from exod.observation.events import SelectedEvents
from exod.pps import find_observations
from exod.scheduler.plan import Plan
from exod.sensitivity.depth.burstneeds import RUN_NUMBERS
from exod.sensitivity.depth.depthmaps import ExposureDepth
from exod.sensitivity.depth.placelimits import place_sums
from exod.sensitivity.depth.upperlimits import counts_interval
from exod.sensitivity.exposuremaps import SeenPixels
from exod.sensitivity.profiles import typical_profile
from exod.sky.plane import TangentPlane
from exod.stages.derive.depth import make_depth, observation_depths
from exod.stages.detect.survey import detect_many
from exod.stages.images.exposures import ReadExposure, read_exposure
from exod.stages.places.recorded import recorded_files

Command = Callable[..., tuple[int, str, str]]
BAND = (0.2, 12.0)


@pytest.fixture(scope="module")
def searched(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """The small observations, searched in one time bin, with the product depth."""
    root = str(tmp_path_factory.mktemp("limits") / "results")
    config = Config.parse({"cube": {"t_bin": [50.0], "bands": [list(BAND)]}})
    lists, _ = find_observations([str(small / GOOD)])
    assert len(list(detect_many(lists, config, root, Plan("sync")))) == len(lists)
    archive = open_archive(root)
    assert not make_depth(archive, Plan("sync")).failures
    return archive


@pytest.fixture(scope="module")
def read(small: Path) -> list[ReadExposure]:
    return [read_exposure(path, Config()) for path in sorted((small / GOOD).glob("*EVLI*"))]


@pytest.fixture(scope="module")
def depths(searched: Archive) -> list[ExposureDepth]:
    return observation_depths(recorded_files(searched, GOOD), searched.config)


def places(plane: TangentPlane, n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Positions all over the field, and some beside it."""
    x, y = np.random.default_rng(seed).uniform(8_000, 44_000, (2, n))
    return plane.to_sky(x, y)


def counted(selected: SelectedEvents, ra: float, dec: float, low: float, high: float) -> int:
    """Photons in the cells of a place, from the event list."""
    plane, events = selected.exposure.plane, selected.events
    grid = Grid.of_size(20.0, selected.exposure.sky_extent, plane.pixel_arcsec)
    x, y = (float(value) for value in plane.to_pixel(ra, dec))
    columns, rows = events.x * grid.n // grid.sky_extent, events.y * grid.n // grid.sky_extent
    distance = np.hypot((columns + 0.5) * grid.width - x, (rows + 0.5) * grid.width - y)
    own = (columns == x // grid.width) & (rows == y // grid.width)
    inside = own | (distance * plane.pixel_arcsec <= 20.0)
    inside &= (events.pi > 200) & (events.pi < 12_000)
    return int((inside & (events.time >= low) & (events.time < high)).sum())


@settings(max_examples=8)
@given(seed=st.integers(0, 2**31), shares=st.tuples(st.floats(0, 1), st.floats(0.001, 1)))
def test_counts_are_those_of_the_event_lists(
    searched: Archive, read: list[ReadExposure], seed: int, shares: tuple[float, float]
) -> None:
    ra, dec = places(read[0].selected.exposure.plane, 20, seed)
    first = min(float(own.selected.events.time[0]) for own in read)
    last = max(float(own.selected.events.time[-1]) for own in read)
    # Times are kept in tenths of a second.
    low = round(first + shares[0] * (last - first), 1)
    high = low + max(round(shares[1] * (last - first), 1), 1.0)
    found = searched.limits(ra, dec, start=low, stop=high, obsids=[GOOD])
    wanted = [
        sum(counted(own.selected, ra[place], dec[place], low, high) for own in read)
        for place in found["place"]
    ]
    # At an edge of the time a photon may be on the other side.
    apart = np.abs(found["n"].to_numpy() - wanted)
    assert apart.max(initial=0) <= 1
    assert apart.sum() <= 1


@settings(max_examples=15)
@given(seed=st.integers(0, 2**31), cuts=st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_parts_of_the_time_add_up(
    depths: list[ExposureDepth], seed: int, cuts: list[float]
) -> None:
    depth = depths[seed % len(depths)]
    first, last = depth.seconds
    one, two, three = sorted(round(first + cut * (last - first), 1) for cut in cuts)
    ra, dec = places(depth.plane, 30, seed)
    band = depth.bands.index(BAND)
    parts = [
        place_sums(depth, band, ra, dec, low, high)
        for low, high in ((one, two), (two, three), (one, three))
    ]
    for name in ("n", "mu", "constant", "live", "seen", "response"):
        sums = np.zeros((3, len(ra)))
        for row, part in zip(sums, parts, strict=True):
            row[part.place] = getattr(part, name)
        both = sums[2] > 0
        # A place is not covered while no CCD is live there.
        assert sums[0][both] + sums[1][both] == pytest.approx(sums[2][both], rel=1e-6, abs=1e-9)


def test_answers_of_an_archive_are_those_of_the_exposures(
    searched: Archive, depths: list[ExposureDepth]
) -> None:
    ra, dec = places(depths[0].plane, 25, 5)
    band = depths[0].bands.index(BAND)
    one_by_one = pd.concat(
        [searched.limits(*place, obsids=[GOOD]) for place in zip(ra, dec, strict=True)]
    )
    together = searched.limits(ra, dec, obsids=[GOOD])
    columns = ["n", "mu", "constant", "seconds", "flux_hi", "rate_lo", "n90"]
    assert np.allclose(one_by_one[columns], together[columns], equal_nan=True)
    parts = [place_sums(depth, band, ra, dec) for depth in depths]
    seen = np.unique(np.concatenate([part.place for part in parts]))
    assert together["place"].tolist() == seen.tolist()
    mu = np.zeros(len(ra))
    for part in parts:
        mu[part.place] += part.mu
    assert together["mu"].to_numpy() == pytest.approx(mu[seen])


def test_the_background_is_that_of_the_counts(depths: list[ExposureDepth]) -> None:
    for depth in depths:
        ra, dec = places(depth.plane, 4000, 7)
        sums = place_sums(depth, depth.bands.index(BAND), ra, dec)
        empty = sums.constant == 0
        assert sums.n[empty].sum() == pytest.approx(sums.mu[empty].sum(), rel=0.03)
        pull = (sums.n - sums.mu)[empty] / np.sqrt(np.maximum(sums.mu[empty], 0.1))
        assert 0.8 < pull.std() < 1.35


def test_limits_hold_injected_sources_as_often_as_they_say(
    read: list[ReadExposure], depths: list[ExposureDepth]
) -> None:
    """Photons of sources, drawn one by one, fall on pixels; those in the cells are counted."""
    from exod.instruments.detector import DETECTORS

    generator = np.random.default_rng(8)
    held = []
    for depth in depths:
        (own,) = (one for one in read if one.selected.exposure.instrument == depth.instrument)
        exposure = own.selected.exposure
        ra, dec = places(depth.plane, 2500, 9)
        sums = place_sums(depth, depth.bands.index(BAND), ra, dec)
        x, y = (value[sums.place] for value in depth.plane.to_pixel(ra, dec))
        true = generator.uniform(0, 40, len(x))
        n = generator.poisson(true)
        source = np.repeat(np.arange(len(x)), n)
        offset = typical_profile(XMM).sample(generator, len(source)) / depth.plane.pixel_arcsec
        px, py = x[source] + offset[0], y[source] + offset[1]
        places_there = DETECTORS[depth.instrument].detector_from_sky(px, py, exposure.pa_pnt)
        chip, share = SeenPixels(own.seen).at(*places_there)
        events = own.selected.exposure.camera
        assert events.name == depth.instrument
        kept = (chip > 0) & (generator.random(len(chip)) < share)
        width = depth.grid.width
        column, row = np.floor(px / width), np.floor(py / width)
        distance = np.hypot((column + 0.5) * width - x[source], (row + 0.5) * width - y[source])
        inside = distance * depth.plane.pixel_arcsec <= 20.0
        inside |= (column == x[source] // width) & (row == y[source] // width)
        more = np.bincount(source[kept & inside], minlength=len(x))
        low, high = counts_interval(sums.n + more, sums.mu, 0.9)
        share_seen = sums.seen / sums.live
        good = (sums.constant == 0) & (share_seen > 0.3)
        held.append(((low <= true * share_seen) & (true * share_seen <= high))[good])
    assert np.concatenate(held).mean() == pytest.approx(0.9, abs=0.02)


def test_a_command_says_what_was_there_or_why_nothing(
    searched: Archive, depths: list[ExposureDepth], tmp_path: Path, command: Command
) -> None:
    ra, dec, _ = depths[0].pointing
    at = f"{ra},{dec + 0.03}"
    files = ("--to", tmp_path / "limits.fits", "--plot", tmp_path / "plots")
    code, said, _ = command("limit", searched.root, "--at", at, *files)
    assert code == 0
    assert GOOD in said
    assert len(list((tmp_path / "plots").glob("limit_*.png"))) == 1
    assert fits.getdata(tmp_path / "limits.fits")["obsid"].tolist() == [GOOD]
    for options, sentence in (
        (("--at", "12,-80"), "covered 12,-80"),
        (("--at", at, "--time", "2020-01-01T00:00:00"), "at 2020-01-01T00:00:00 UTC"),
        (("--at", at, "--time", "2300-01-01T00:00:00"), "at 2300-01-01T00:00:00 UTC"),
        (("--at", at, "--time", "1900-01-01T00:00:00"), "at that time"),
    ):
        code, said, _ = command("limit", searched.root, *options)
        assert code == 0
        assert sentence in " ".join(said.split())
    code, said, _ = command("limit", searched.root, "--at", "12,-80", "--to", tmp_path / "no.csv")
    assert code == 0
    assert "0 rows in" in said
    for options, sentence in (
        (("--at", at, "--duration", "5"), "--duration goes with --time"),
        (("--at", at, "--band", "0.5-2"), "no limits of 0.5-2 keV"),
        (("--at", at, "--level", "1.5"), "between 0 and 1"),
        (("--at", at, "--radius", "4000"), "0 to 300 arcsec"),
        (("--at", at, "--time", "noon"), "is no time"),
        (("--at", at, "--time", "1e300"), "is no time"),
    ):
        code, _, error = command("limit", searched.root, *options)
        assert code == 2
        assert sentence in " ".join(error.split())


def test_without_the_product_a_sentence_names_the_command(tmp_path: Path) -> None:
    archive = Archive.create(str(tmp_path / "empty"), Config())
    with pytest.raises(ArchiveError, match="run `exod depth"):
        archive.limits(1.0, 2.0)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"ra_deg": np.nan}, "has not"),
        ({"dec_deg": [1.0, 2.0]}, "as many right ascensions"),
        ({"start": 5.0, "stop": 5.0}, "must start before"),
        ({"start": [1.0, 2.0]}, "times"),
        ({"start": np.nan}, "not NaN"),
        ({"ra_deg": [[1.0]], "dec_deg": [[2.0]]}, "2 dimensions"),
        ({"start": [1.0], "stop": np.inf, "ra_deg": [np.nan]}, "has not"),
        ({"band": (1.0,)}, "pair of energies in keV, not 1"),
        ({"band": (1.0, 2.5)}, "no limits of 1-2.5 keV"),
        *[
            ({name: value}, f"^(A|The) .* is .*number.*not {re.escape(repr(value))}[.]$")
            for name in ("ra_deg", "dec_deg", "start", "stop", "band", "level", "radius_arcsec")
            for value in ("north", ["1", "x"], [[1.0], [2.0, 3.0]], 1j, {})
        ],
        *[({name: [0.5, 0.6]}, "is one number, not 2") for name in ("level", "radius_arcsec")],
    ],
)
def test_impossible_questions_are_refused(
    searched: Archive, changed: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        searched.limits(**{"ra_deg": 1.0, "dec_deg": 2.0, **changed})


def test_after_the_end_of_time_nothing_was_seen(
    searched: Archive, depths: list[ExposureDepth]
) -> None:
    ra, dec, _ = depths[0].pointing
    assert searched.limits(ra, dec + 0.03, start=np.inf).empty
    assert len(searched.limits(ra, dec + 0.03, start=-np.inf)) == 1


def test_without_photons_whole_observations_have_limits(
    searched: Archive, depths: list[ExposureDepth]
) -> None:
    from dataclasses import replace

    depth = replace(depths[0], photons=None)
    ra, dec = places(depth.plane, 50, 3)
    kept = place_sums(depth, 0, ra, dec)
    assert kept.n.tolist() == place_sums(depths[0], 0, ra, dec).n.tolist()
    some = place_sums(depth, 0, ra, dec, depth.seconds[0] + 100, depth.seconds[0] + 300)
    assert np.isnan(some.n).all()
    assert (some.mu > 0).any()


def test_rows_of_earlier_versions_are_read(depths: list[ExposureDepth]) -> None:
    """Heads without totals, and before without names and a pointing, which are columns then."""
    depth = depths[0]
    row = depth_row(depth, np.zeros((1, len(RUN_NUMBERS))))
    head = head_of(row["head"])
    olds = []
    for n_parts in (len(head) - 1, len(head) - 3):
        parts = list(head.values())[:n_parts]
        sizes = np.array([len(part) for part in parts], "<i4")
        olds.append(b"".join(part.tobytes() for part in (sizes, *parts)))
    pointing = dict(zip(("ra_pnt", "dec_pnt", "pa_pnt"), depth.pointing, strict=True))
    assert ["totals" in head_of(old) for old in olds] == [False, False]
    assert ["names" in head_of(old) for old in olds] == [True, False]
    for own in (row, row | {"head": olds[0]}, row | pointing | {"head": olds[1]}):
        found = depth_of(own)
        assert found.seconds == depth.seconds
        assert dict(found.live) == dict(depth.live)
        assert (found.obsid, found.expid, found.instrument) == (GOOD, depth.expid, depth.instrument)
        assert found.pointing == depth.pointing
        sums, wanted = (place_sums(one, 0, *places(depth.plane, 20, 4)) for one in (found, depth))
        assert sums.mu.tolist() == wanted.mu.tolist()
        for ccdnr in depth.live:
            totals = [one.level_total(ccdnr, 0).tolist() for one in (found, depth)]
            assert totals[0] == totals[1]


def test_places_beside_the_box_are_not_covered(depths: list[ExposureDepth]) -> None:
    depth = depths[0]
    width, box = depth.grid.width, depth.box
    assert isinstance(box, Box)
    x = np.array([box.x_lo - 1.0, box.x_hi + 1.0]) * width
    y = np.full(2, (box.y_lo + box.y_hi) / 2 * width)
    assert not len(place_sums(depth, 0, *depth.plane.to_sky(x, y)).place)


def test_coverage_is_written_as_map_curve_and_moc(
    searched: Archive, tmp_path: Path, command: Command
) -> None:
    mocpy = pytest.importorskip("mocpy")
    code, said, _ = command("coverage", searched.root, "--duration", "100", "--to", tmp_path)
    assert code == 0
    assert "deg² were seen" in said
    found = fits.getdata(tmp_path / "coverage.fits")
    moc = mocpy.MOC.from_fits(tmp_path / "coverage_moc.fits")
    area = moc.sky_fraction * 4 * np.pi * np.degrees(1) ** 2
    assert area == pytest.approx(found["area_deg2"].sum(), rel=1e-6)
    ra, dec = places(observation_plane(searched), 200, 4)
    seen = searched.limits(ra, dec)["place"].to_numpy()
    inside = moc.contains_lonlat(ra * mocpy_deg(), dec * mocpy_deg())
    assert inside[seen].mean() > 0.99
    curve = pd.read_csv(tmp_path / "coverage_area.csv")
    assert (np.diff(curve["flux"]) >= 0).all()
    assert curve["area_deg2"].iloc[-1] <= area * (1 + 1e-9)
    deep = pd.read_csv(tmp_path / "coverage_area.csv")["flux"].median()
    code, _, error = command("coverage", searched.root, "--to", tmp_path)
    assert code == 2
    assert "--overwrite" in error
    assert command("coverage", searched.root, "--to", tmp_path, "--overwrite")[0] == 0
    code, said, _ = command("coverage", searched.root, "--duration", "1e9", "--to", tmp_path / "no")
    assert code == 0
    assert "No observation was live for 1e+09 s" in " ".join(said.split())
    # Whole observations are deeper than 100 s of them.
    assert pd.read_csv(tmp_path / "coverage_area.csv")["flux"].median() < deep


def observation_plane(archive: Archive) -> TangentPlane:
    row = archive.observations.compute().iloc[0]
    names = ("x_ref", "y_ref", "ra_ref", "dec_ref", "x_delta", "y_delta")
    return TangentPlane(*(float(row[name]) for name in names))


def mocpy_deg() -> object:
    from astropy import units

    return units.deg
