"""Light curves of any place, from archives and from event lists."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from astropy.table import Table
from helpers.examples import portion
from helpers.faults import (
    GOOD,
    OTHER,
    copy,
    event_lists,
    set_column,
    set_keys,
    source_list,
)
from hypothesis import given, settings
from hypothesis import strategies as st

import exod
from exod.archive import Archive, open_archive
from exod.config import Config
from exod.errors import ConfigError, InputError
from exod.observation.times import mission_seconds, utc_date
from exod.plots.lightcurves.curves import Curve
from exod.pps import find_observations
from exod.schemas.conditions.query import parse_position
from exod.search.subset import search_subset
from exod.stages.detect.observation import detect_to_archive
from exod.stages.detect.read import read_observation
from exod.stages.places.asking import light_curve_at, region_curves
from exod.stages.places.curves import curve_rows

AGAIN = "0900000301"
FRAMES = ["time", "n", "mu", "live", "bti", "bccd", "B_peak_log", "B_eclipse_log"]
CONFIGS = {
    # A low threshold, so that there are regions of one cell and of several.
    "published": ["cube.t_bin=[20,200]", "cube.bands=[[0.2,12],[0.2,2]]", "detect.sigma=1.2"],
    "deep": ["cube.t_bin=[40,250]", "cube.bands=[[0.2,12]]", "detect.false_alarm_rate=30"],
}


@pytest.fixture(scope="module")
def again(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The observation under another identifier: a second one of the same field."""
    folder = tmp_path_factory.mktemp("again") / AGAIN
    folder.mkdir()
    for path in (*event_lists(small / GOOD), source_list(small / GOOD)):
        named = folder / path.name.replace(GOOD, AGAIN)
        shutil.copy(path, named)
        set_keys(named, OBS_ID=AGAIN)
    return folder


@pytest.fixture(scope="module")
def archives(
    small: Path, again: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Archive]:
    """One of each preset; that of preset deep has one observation."""
    found = {}
    for preset, overrides in CONFIGS.items():
        root = str(tmp_path_factory.mktemp(preset) / "archive")
        folders = [small / GOOD, *([again] if preset == "published" else [])]
        for files in find_observations(folders)[0]:
            detect_to_archive(files, Config.load(overrides=overrides, preset=preset), root)
        found[preset] = open_archive(root)
    return found


def same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    assert len(found) == len(expected)
    for name in FRAMES:
        np.testing.assert_array_equal(found[name].to_numpy(), expected[name].to_numpy(), name)


@pytest.mark.parametrize("preset", CONFIGS)
def test_where_there_is_a_region_it_is_its_light_curve(
    archives: dict[str, Archive], preset: str
) -> None:
    archive = archives[preset]
    regions = archive.regions.compute()
    assert len(regions) > 3
    assert regions["area_bbox"].max() > 1
    several = regions.sort_values("area_bbox", kind="stable")
    for region in pd.concat([several.head(2), several.tail(3)]).to_dict("records"):
        stored = archive.lightcurve(region["detid"])
        place, curves = region_curves(archive, region["detid"])
        assert (place.ra_deg, place.dec_deg) == (region["ra_deg"], region["dec_deg"])
        assert [item.taken for item in curves] == [f"region {region['detid']}"]
        same(curve_rows(curves), stored)
        at = light_curve_at(
            archive,
            region["ra_deg"],
            region["dec_deg"],
            t_bin=[region["t_bin"]],
            bands=[(region["e_lo"], region["e_hi"])],
            obsids=[region["obsid"]],
        )
        (taken,) = set(at["taken"])
        same(at, archive.lightcurve(taken.removeprefix("region ")))


def dense(small: Path, config: Config) -> list[tuple[Any, Any, np.ndarray, np.ndarray]]:
    """Merged events, run, and the dense cubes of each run of an observation."""
    (files,), _ = find_observations([small / GOOD])
    observation = read_observation(files, config)
    found = []
    for events in observation.subsets:
        for run in search_subset(files.obsid, events, observation.sources, config):
            n = run.cube.to_dask().compute(scheduler="synchronous")
            found.append((events, run, n, run.expectation.dense_block(0, run.cube.frames.n)))
    return found


@pytest.mark.parametrize("preset", CONFIGS)
def test_elsewhere_it_is_a_sum_over_the_dense_cube(small: Path, preset: str) -> None:
    config = Config.load(overrides=CONFIGS[preset], preset=preset)
    cubes = dense(small, config)
    events, first, *_ = cubes[0]
    grid = first.cube.grid

    @given(st.integers(0, len(events.x) - 1), st.sampled_from([None, 0.0, 25.0, 61.0]))
    @settings(max_examples=portion(4))
    def check(photon: int, radius: float | None) -> None:
        x, y = float(events.x[photon]) + 0.3, float(events.y[photon]) + 0.3
        ra, dec = (float(value) for value in events.plane.to_sky(x, y))
        table = light_curve_at(
            small / GOOD,
            ra,
            dec,
            t_bin=config.cube.t_bin,
            bands=config.cube.bands,
            radius_arcsec=radius,
            config=config,
        )
        assert table["runid"].nunique() == len(cubes)
        for _, run, n, mu in cubes:
            box = run.cube.box
            rows, columns = np.mgrid[box.slices]
            away = np.hypot((columns + 0.5) * grid.width - x, (rows + 0.5) * grid.width - y)
            chosen = away * 0.05 <= (radius or 0)
            chosen |= (rows == int(y // grid.width)) & (columns == int(x // grid.width))
            found = table[table["runid"] == run.runid]
            assert set(found["n_cells"]) == {int(chosen.sum())}
            assert found["n"].tolist() == n[:, chosen].sum(1, dtype=int).tolist()
            expected = mu[:, chosen].sum(1, dtype=float)
            assert found["mu"].to_numpy() == pytest.approx(expected, rel=1e-4, abs=1e-9)
            assert found["bti"].tolist() == run.expectation.is_bad.tolist()
            assert found["bccd"].tolist() == run.camera_off.tolist()
            assert found["time"].tolist() == run.cube.frames.starts.tolist()

    check()


def inside(archive: Archive) -> tuple[float, float]:
    """A place in the field: the strongest region."""
    regions = archive.regions.compute()
    best = regions.loc[regions["max_B_peak_log"].idxmax()]
    return float(best["ra_deg"]), float(best["dec_deg"])


def test_all_observations_that_cover_the_place(archives: dict[str, Archive]) -> None:
    archive = archives["published"]
    found = light_curve_at(archive, *inside(archive), t_bin=[200], radius_arcsec=30)
    assert set(found["obsid"]) == {GOOD, AGAIN}
    assert set(found["taken"]) == {"radius 30 arcsec"}
    only = light_curve_at(archive, *inside(archive), t_bin=[200], radius_arcsec=30, obsids=[AGAIN])
    pd.testing.assert_frame_equal(only, found[found["obsid"] == AGAIN].reset_index(drop=True))


def test_the_run_of_the_region_unless_others_are_asked_for(archives: dict[str, Archive]) -> None:
    archive = archives["published"]
    regions = archive.regions.compute()
    best = regions.loc[regions["max_B_peak_log"].idxmax()]
    own = light_curve_at(archive, best["ra_deg"], best["dec_deg"], obsids=[best["obsid"]])
    assert set(own["runid"]) == {best["runid"]}
    cell = light_curve_at(
        archive, best["ra_deg"], best["dec_deg"], obsids=[best["obsid"]], radius_arcsec=0
    )
    assert set(cell["n_cells"]) == {1}
    assert set(cell["taken"]) == {"cell"}


def test_part_of_the_time(small: Path, archives: dict[str, Archive]) -> None:
    place = inside(archives["published"])
    whole = light_curve_at(small / GOOD, *place, t_bin=[20])
    start, stop = whole["time"][3], whole["time"][10]
    part = light_curve_at(small / GOOD, *place, t_bin=[20], between=(start, stop))
    pd.testing.assert_frame_equal(part, whole[3:10].reset_index(drop=True))
    with pytest.raises(ConfigError, match="is empty: it must start before it stops"):
        light_curve_at(small / GOOD, *place, between=(stop, start))
    with pytest.raises(InputError, match=f"No frame of {GOOD} begins between 1 and 2 s"):
        light_curve_at(small / GOOD, *place, between=(1, 2))
    with pytest.raises(InputError, match="less than one time bin of 5000 s"):
        light_curve_at(small / GOOD, *place, t_bin=[5000])


def test_places_without_a_light_curve(small: Path, archives: dict[str, Archive]) -> None:
    archive = archives["published"]
    ra, dec = inside(archive)
    far = "is not in any of the 2 fields.*points .* away"
    with pytest.raises(InputError, match=far):
        light_curve_at(archive, ra + 30, dec)
    with pytest.raises(InputError, match=far):
        light_curve_at(archive, (ra + 180) % 360, -dec)
    with pytest.raises(InputError, match=f"is outside the field of {GOOD}: no photon fell on it"):
        light_curve_at(small / GOOD, ra, dec + 1)
    with pytest.raises(InputError, match=f"is outside the field of {GOOD}"):
        light_curve_at(small / GOOD, (ra + 180) % 360, -dec)
    with pytest.raises(InputError, match="has no observation '0000000001'"):
        light_curve_at(archive, ra, dec, obsids=["0000000001"])
    with pytest.raises(InputError, match="no observation '0000000001' among the files"):
        light_curve_at(small / GOOD, ra, dec, obsids=["0000000001"])


@pytest.mark.parametrize(
    ("place", "asked", "reason"),
    [
        ((np.nan, 3.0), {}, "the position nan,3 has not"),
        ((np.inf, 3.0), {}, "the position inf,3 has not"),
        ((10.0, 90.5), {}, "the position 10,90.5 has not"),
        ((10.0, 3.0), {"radius_arcsec": np.nan}, "0 to 3600 arcsec, not nan"),
        ((10.0, 3.0), {"radius_arcsec": -1}, "0 to 3600 arcsec, not -1"),
        ((10.0, 3.0), {"between": (np.nan, 5)}, "from nan to 5 s is empty"),
        ((10.0, 3.0), {"t_bin": 0}, "greater than 0"),
        ((10.0, 3.0), {"bands": (2.0,)}, "cube.bands"),
    ],
)
def test_places_that_cannot_be(archives, place, asked, reason) -> None:
    with pytest.raises(ConfigError, match=reason):
        light_curve_at(archives["published"], *place, **asked)


def test_one_value_is_as_good_as_a_list(archives: dict[str, Archive]) -> None:
    archive = archives["published"]
    ra, dec = inside(archive)
    one = light_curve_at(archive, ra - 360.0, dec, t_bin=200, bands=(0.2, 2.0), obsids=GOOD)
    several = light_curve_at(archive, ra, dec, t_bin=[200], bands=[(0.2, 2.0)], obsids=[GOOD])
    pd.testing.assert_frame_equal(one, several)


def test_event_lists_that_are_gone_or_other_ones(small: Path, tmp_path: Path) -> None:
    folder = copy(small / GOOD, tmp_path)
    (files,), _ = find_observations([folder])
    root = tmp_path / "archive"
    config = Config.load(overrides=["cube.t_bin=[200]", "cube.bands=[[0.2,12]]"])
    detect_to_archive(files, config, str(root))
    row = open_archive(root).observations.compute().iloc[0]
    place = float(row["ra_pnt"]), float(row["dec_pnt"])
    assert len(exod.light_curve_at(root, *place, radius_arcsec=60))
    shutil.copy(small / OTHER / f"P{OTHER}M1S001MIEVLI0000.FTZ", files.event_lists[0])
    with pytest.raises(InputError, match="they have changed since"):
        light_curve_at(root, *place)
    shutil.rmtree(folder)
    with pytest.raises(InputError, match=r"are not where its search read them .*give the event"):
        light_curve_at(root, *place)


def two_observations(small: Path, again: Path, tmp_path: Path) -> tuple[Archive, dict[str, Path]]:
    """An archive of two observations of one field, whose files a test may spoil."""
    folders = {GOOD: copy(small / GOOD, tmp_path), AGAIN: tmp_path / "again"}
    shutil.copytree(again, folders[AGAIN])
    config = Config.load(overrides=["cube.t_bin=[200]", "cube.bands=[[0.2,12]]"])
    root = str(tmp_path / "archive")
    for files in find_observations(list(folders.values()))[0]:
        detect_to_archive(files, config, root)
    return open_archive(root), folders


@pytest.mark.parametrize(
    ("source", "fault"), [("archive", "gone"), ("archive", "damaged"), ("folders", "damaged")]
)
def test_the_others_are_shown_where_one_cannot_be_read(
    small: Path,
    again: Path,
    tmp_path: Path,
    command: Callable[..., tuple[int, str, str]],
    source: str,
    fault: str,
) -> None:
    archive, folders = two_observations(small, again, tmp_path)
    row = archive.observations.compute().iloc[0]
    place = float(row["ra_pnt"]), float(row["dec_pnt"])
    whole = light_curve_at(archive, *place, t_bin=[200], radius_arcsec=60)
    if fault == "gone":
        shutil.rmtree(folders[GOOD])
    else:
        for path in event_lists(folders[GOOD]):
            path.write_bytes(path.read_bytes()[:4000])
    given = [archive.root] if source == "archive" else list(folders.values())
    asked = {"t_bin": [200], "radius_arcsec": 60}
    with pytest.warns(UserWarning, match=GOOD):
        found = light_curve_at(archive if source == "archive" else given, *place, **asked)
    expected = whole[whole["obsid"] == AGAIN].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected)
    at = ("--at", f"{place[0]},{place[1]}", "--t-bin", "200", "--radius", "60")
    code, said, complaint = command(
        "lightcurve", *given, *at, "--plots", tmp_path / "plots", "--to", tmp_path / "t.csv"
    )
    assert code == 1
    assert f"{AGAIN}_0_200" in said
    assert complaint.count("exod:") == 1
    assert GOOD in complaint
    assert set(pd.read_csv(tmp_path / "t.csv", dtype={"obsid": str})["obsid"]) == {AGAIN}
    for path in event_lists(folders[AGAIN]):
        path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(InputError, match=f"None of the 2 observations.*{GOOD}.*{AGAIN}"):
        light_curve_at(archive if source == "archive" else given, *place, **asked)


def test_observations_outside_of_the_time_are_left_out(
    archives: dict[str, Archive], small: Path, again: Path, tmp_path: Path
) -> None:
    later = tmp_path / AGAIN
    shutil.copytree(again, later)
    for path in event_lists(later):
        header = fits.getheader(path, "EVENTS")
        set_column(path, "TIME", lambda times: times + 1e6)
        set_keys(path, **{name: header[name] + 1e6 for name in ("TSTART", "TSTOP")})
    place = inside(archives["published"])
    one = light_curve_at(small / GOOD, *place, t_bin=[200])
    between = float(one["time"].iloc[0]), float(one["time"].iloc[-1]) + 1
    found = light_curve_at([small / GOOD, later], *place, t_bin=[200], between=between)
    pd.testing.assert_frame_equal(found, one)
    with pytest.raises(InputError, match=r"None of the 2 observations.*begins between 1 and 2 s"):
        light_curve_at([small / GOOD, later], *place, between=(1, 2))


def test_frames_have_dates(archives: dict[str, Archive]) -> None:
    archive = archives["published"]
    found = light_curve_at(archive, *inside(archive), t_bin=[200])
    regions = archive.regions.compute()
    stored = archive.lightcurve(str(regions["detid"].iloc[0]))
    everything = archive.lightcurves.compute()
    for curve in (found, stored, everything):
        days = 50814 + curve["time"].to_numpy() / 86400
        np.testing.assert_allclose(curve["time_mjd"], days, rtol=0, atol=1e-9)


def test_the_command(
    archives: dict[str, Archive], tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    archive = archives["published"]
    ra, dec = inside(archive)
    asked = ("lightcurve", archive.root, "--at", f"{ra},{dec}", "--radius", "25")
    where = ("--plots", tmp_path / "plots")
    code, said, _ = command(*asked, "--t-bin", "200", *where, "--to", tmp_path / "place.fits")
    assert code == 0
    assert "radius 25 arcsec" in said
    expected = light_curve_at(archive, ra, dec, t_bin=[200], radius_arcsec=25)
    table = Table.read(tmp_path / "place.fits", hdu=1)
    np.testing.assert_array_equal(table["n"], expected["n"])
    np.testing.assert_array_equal(table["B_peak_log"], expected["B_peak_log"])
    assert table["time"].unit == "s"
    only = ("--obsid", GOOD, "--band", "0.2-2,2-12", "--t-bin", "20,200")
    code, said, _ = command(*asked, *only, *where, "--to", tmp_path / "place.csv")
    assert code == 0
    assert pd.read_csv(tmp_path / "place.csv", dtype={"obsid": str})["runid"].nunique() == 4
    names = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert [name.partition("_at_J")[0] for name in names] == [GOOD, "all"]
    for name in names:
        assert name in said or "all" in name


def test_frames_shorter_than_those_of_the_cameras(
    small: Path, tmp_path: Path, command: Callable[..., tuple[int, str, str]]
) -> None:
    """Where they count whole, most have a camera without a photon and are left out: it is said."""
    (files,), _ = find_observations([small / GOOD])
    (events, *_) = read_observation(files, Config()).subsets
    # Where there are photons: about the brightest pixel.
    image, x_edges, y_edges = np.histogram2d(events.x, events.y, bins=200)
    x, y = np.unravel_index(image.argmax(), image.shape)
    place = events.plane.to_sky(x_edges[x] + 20.3, y_edges[y] + 20.3)
    ra, dec = (float(value) for value in place)
    short, span = {"t_bin": 0.2, "between": (events.t_lo, events.t_lo + 1000)}, "are left out and"
    frames = Config.load(overrides=["cube.live_time=frames"])
    with pytest.warns(
        UserWarning, match=r"shorter than the .* s in which .* frame\. Choose longer"
    ):
        masked = light_curve_at(small / GOOD, ra, dec, config=frames, **short)
    assert masked["bccd"].mean() > 0.5
    assert not masked.loc[masked["bccd"], "n"].any()
    config = Config.load(overrides=["cube.live_time=frames", "cube.mask_bad_ccd=false"])
    whole = light_curve_at(small / GOOD, ra, dec, config=config, **short)
    assert whole["n"].sum() > masked["n"].sum()
    # With live fractions a frame without a photon is no gap.
    live = light_curve_at(small / GOOD, ra, dec, **short)
    assert live["n"].sum() == whole["n"].sum()
    assert not live["bccd"].any()
    drawn = Curve.of({"t_lo": events.t_lo, "t_bin": 0.2, "sigma": 3.0}, whole)
    seen = whole["mu"] > 0
    assert seen.mean() > 0.5
    np.testing.assert_array_equal(drawn.n[seen], whole["n"][seen])
    during = ("--between", f"{events.t_lo},{events.t_lo + 1000}")
    at = ("lightcurve", small / GOOD, "--at", f"{ra},{dec}", "--plots", tmp_path, *during)
    code, _, wrong = command(*at, "--t-bin", "0.2", "--set", "cube.live_time=frames")
    assert (code, wrong.count(span), wrong.count("\n")) == (0, 1, 1)
    code, _, wrong = command(*at, "--t-bin", "200")
    assert (code, span in wrong) == (0, False)


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--at", "12"), 2, "is not RA,DEC"),
        (("--at", "x,3"), 2, "'x' in the position 'x,3' is no angle"),
        (("--at", "361,3"), 2, "A right ascension is 0 to 360 deg"),
        (("--at", "10,91"), 2, "a declination -90 to 90 deg"),
        (("--at", "nan,3"), 2, "A right ascension is 0 to 360 deg"),
        ((), 2, "Give a position, --at RA,DEC, or a region"),
        (("--at", "10,3", "--like", "x"), 2, "Give a position"),
        (("--at", "10,3", "--between", "5"), 2, "takes START,STOP"),
        (("--at", "10,3", "--between", "5,4"), 2, "is empty"),
        (("--at", "10,3", "--between", "then,now"), 2, "'then' is no time"),
        (("--at", "10,3", "--radius", "-1"), 2, "0 to 3600 arcsec"),
        (("--at", "10,3", "--band", "2"), 2, "--band takes pairs"),
        (("--at", "10,3", "--band", "5-2"), 2, "must ascend"),
        (("--at", "10,3", "--t-bin", "0"), 2, "t_bin.0: input should be greater than 0.\n"),
        (("--at", "10,3", "--radius", "nan"), 2, "0 to 3600 arcsec, not nan"),
        (("--like", f"{GOOD}_0_200_0.2_12.0_0", "--radius", "5"), 2, "--radius goes with --at"),
        (("--like", f"{GOOD}_0_200_0.2_12.0_0", "--obsid", GOOD), 2, "leave out --obsid"),
        (("--at", "10,3", "--preset", "deep"), 2, "are those of its search"),
        (("--at", "10,3", "--to", "place.txt"), 2, "ends in no known format"),
        (("--at", "10,3"), 1, "is not in any of the 2 fields"),
        (("--like", "nothing"), 1, "has no region 'nothing'"),
        (("--like", f"{GOOD}_0_200_0.2_12.0_999"), 1, f"of {GOOD} it has {GOOD}_0_"),
    ],
)
def test_one_clear_sentence(
    archives: dict[str, Archive],
    command: Callable[..., tuple[int, str, str]],
    arguments: tuple[str, ...],
    code: int,
    sentence: str,
) -> None:
    found, _, said = command("lightcurve", archives["published"].root, *arguments)
    assert (found, said.count("\n")) == (code, 1)
    assert sentence in said


@given(st.floats(0, 359.9999), st.floats(-89.9999, 89.9999))
def test_positions_as_people_write_them(ra: float, dec: float) -> None:
    from astropy import units
    from astropy.coordinates import SkyCoord

    there = SkyCoord(ra, dec, unit=units.deg)
    colons = there.to_string("hmsdms", sep=":", precision=4)
    for text in (
        f"{ra!r},{dec!r}",
        f"{ra:.9f} {dec:.9f}",
        colons,
        colons.replace(" ", ","),
        there.to_string("hmsdms", sep=" ", precision=4),
        there.to_string("hmsdms", precision=4).replace(" ", ", "),
    ):
        found = parse_position(text)
        assert found == pytest.approx((ra, dec), abs=1e-6)


@given(st.integers(0, 900_000_000))
def test_times_as_dates(seconds: int) -> None:
    assert mission_seconds(str(seconds)) == seconds
    assert mission_seconds(utc_date(seconds)) == pytest.approx(seconds, abs=0.51)


@pytest.mark.parametrize("name", ["ra_deg", "dec_deg", "radius_arcsec", "between"])
@pytest.mark.parametrize("value", ["north", [1.0, 2.0, 3.0], {}, ("a", "b")])
def test_a_place_is_made_of_numbers(tmp_path: Path, name: str, value: Any) -> None:
    asked: dict[str, Any] = {"ra_deg": 1.0, "dec_deg": 2.0} | {name: value}
    with pytest.raises(ConfigError, match=r"^(A|The) .* (is|has) .*, not "):
        exod.light_curve_at(tmp_path, **asked)
