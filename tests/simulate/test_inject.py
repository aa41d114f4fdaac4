"""Sources in real and simulated event lists: what is put in, what stays, what is found."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.io import fits
from helpers.examples import every_third
from helpers.faults import copy, edit, event_lists

import exod
from exod.errors import ConfigError, ExodError
from exod.instruments.detector import DETECTORS
from exod.observation.availability import pixel_codes
from exod.observation.events import EventList
from exod.pps import find_observations, read_event_list
from exod.pps.fits.extensions import read_availability
from exod.search.subset import search_subset
from exod.simulate import (
    BoxBurst,
    DropOut,
    ExposureModel,
    SourceModel,
    default_observation,
    simulate,
)
from exod.simulate.injection.inject import inject, inject_in_memory
from exod.simulate.injection.requests import (
    SourceRequest,
    parse_source,
    requests_from_csv,
    requests_from_toml,
    unique,
)
from exod.simulate.injection.strength import expected_counts, with_counts
from exod.simulate.injection.targets import Target
from exod.simulate.models import TYPICAL_RATES
from exod.stages.inputs.inject import inject_files, load_requests, read_targets
from exod.stages.inputs.memory import known_sources, lists_in_memory
from exod.stages.inputs.simulate import write_observation

PLACE = (263.67, -32.58)
BURST = "box:start=1000,duration=50"
REAL = f"ra=263.67,dec=-32.58,counts=200,light={BURST}"


@pytest.fixture(scope="module")
def observation():
    settings = default_observation(
        "0900000101", 5, duration=4000.0, n_sources=3, n_bursts=0, n_eclipses=0, n_flares=0
    )
    return simulate(settings, 5)


@pytest.fixture(scope="module")
def targets(observation) -> list[Target]:
    return [Target.of(item.exposure, item.events) for item in observation.event_lists]


@pytest.fixture(scope="module")
def folder(observation, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("simulated")
    return write_observation(observation, path)[0].parent


@pytest.fixture(scope="module")
def real(data_dir: Path) -> dict[Path, Target]:
    found = {}
    for path in sorted((data_dir / "xmm" / "0001730201").glob("*IEVLI*")):
        exposure, events = read_event_list(path)
        found[path] = Target.of(exposure, events, read_availability(path, events))
    return found


def burst(targets, counts: float = 300.0, duration: float = 500.0, **settings) -> SourceModel:
    """Two arcminutes north of the pointing."""
    ra, dec = targets[0].plane.to_sky(25921.0, 25921.0 + 2 * 1200)
    start = max(target.availability.start for target in targets) + 500
    curve = BoxBurst(start, duration)
    source = SourceModel("burst", float(ra), float(dec), TYPICAL_RATES, curve, **settings)
    return with_counts(source, targets, counts)


def rows_of(events: EventList) -> list[tuple]:
    return list(zip(*(getattr(events, f.name).tolist() for f in fields(events)), strict=True))


def test_rows_that_were_there_stay(targets):
    for target in targets:
        merged = inject(target, [burst(targets)], 1)
        assert rows_of(merged.events.take(~merged.is_new)) == rows_of(target.events)
        assert merged.is_new.sum() == len(merged.detx) > 0


def test_new_rows_stand_where_the_file_has_their_chip_and_time(targets):
    for target in targets:
        events = inject(target, [burst(targets)], 1).events
        assert np.all(np.diff(events.ccdnr.astype(int)) >= 0)
        for ccdnr in np.unique(events.ccdnr):
            time = events.time[events.ccdnr == ccdnr]
            # Within a frame times are random.
            assert np.all(np.maximum.accumulate(time) - time < 2 * 2.6)


def test_lists_in_order_of_time_stay_so(targets):
    target = replace(targets[0], events=targets[0].events.sorted_by_time())
    merged = inject(target, [burst(targets)], 1)
    assert merged.is_new.any()
    assert np.all(np.diff(merged.events.time) >= 0)


@pytest.mark.parametrize("counts", [30.0, 400.0])
def test_counts_are_those_that_are_expected(targets, counts):
    source = burst(targets, counts, duration=3000.0)
    found = [sum(inject(t, [source], seed).counts(1)[0] for t in targets) for seed in range(40)]
    assert np.mean(found) == pytest.approx(counts, abs=4 * np.sqrt(counts / 40) + 0.01 * counts)
    assert sum(expected_counts(target, source) for target in targets) == pytest.approx(counts)


def test_photons_are_at_their_place_and_time(targets):
    source = burst(targets, 3000.0, duration=3000.0, energy_kev=3.0)
    for target in targets:
        merged = inject(target, [source], 3)
        new = merged.events.take(merged.is_new)
        ra, dec = target.exposure.plane.to_sky(np.median(new.x), np.median(new.y))
        assert abs(ra - source.ra_deg) * 3600 < 2
        assert abs(dec - source.dec_deg) * 3600 < 2
        start, stop = source.light_curve.interval
        assert new.time.min() > start - 2.7
        assert new.time.max() < stop + 2.7
        assert 2500 < np.median(new.pi) < 3500
        assert 0.8 < target.exposure.is_good(new).mean() < 1
        assert len(np.unique(new.pattern)) > 3


def test_other_projections(targets):
    """X and Y about another place than the pointing show the same sky."""
    source, target = burst(targets, 1000.0), targets[0]
    plane = target.exposure.plane
    moved = replace(plane, ra_ref=plane.ra_ref + 0.05, dec_ref=plane.dec_ref + 0.03)
    other = replace(target, exposure=replace(target.exposure, plane=moved))
    first, second = inject(target, [source], 1), inject(other, [source], 1)
    one, two = (m.events.take(m.is_new) for m in (first, second))
    sky, same = plane.to_sky(one.x, one.y), moved.to_sky(two.x, two.y)
    assert np.allclose(sky, same, atol=0.1 / 3600)
    assert np.median(np.abs(one.x - two.x)) > 1000


def test_sources_do_not_depend_on_each_other(targets):
    bright, target = burst(targets), targets[0]
    faint = replace(burst(targets, 40.0), name="faint", dec_deg=bright.dec_deg - 0.05)
    both, alone = inject(target, [bright, faint], 4), inject(target, [bright], 4)
    of_both = both.events.take(both.origin == 0)
    assert rows_of(of_both) == rows_of(alone.events.take(alone.is_new))
    assert (both.origin == 1).any()


def test_seeds(targets):
    target, source = targets[0], burst(targets)
    one, same, other = (inject(target, [source], seed) for seed in (1, 1, 2))
    assert rows_of(one.events) == rows_of(same.events)
    assert rows_of(one.events) != rows_of(other.events)
    with pytest.raises(ConfigError, match="seed is -1"):
        inject(target, [source], -1)
    assert inject(target, [], 1).events is target.events


def test_truth_of_injection_in_memory(targets):
    source = burst(targets)
    lists, truth = inject_in_memory(targets, [source], 7)
    row = truth.iloc[0]
    assert row["name"] == "burst"
    assert row["kind"] == "burst"
    assert (row["t_start"], row["t_stop"]) == source.light_curve.interval
    for target, merged in zip(targets, lists, strict=True):
        camera = target.exposure.instrument
        assert row[f"counts_{camera}"] == merged.counts(1)[0]
        assert row[f"expected_{camera}"] == expected_counts(target, source)
    assert row["expected_total"] == pytest.approx(300)
    assert abs(row["counts_total"] - 300) < 5 * np.sqrt(300)


def test_nothing_arrives_when_or_where_the_camera_is_dead():
    model = ExposureModel(
        "EMOS1",
        "S001",
        1000,
        1000,
        dropouts=(DropOut((1, 2), 1200, 1300), DropOut((1,), 1250, 1400)),
    )
    available = model.availability
    assert available.good_times[1].tolist() == [[1000, 1200], [1300, 1300], [1400, 2000]]
    assert available.good_times[2].tolist() == [[1000, 1200], [1300, 2000]]
    assert available.good_times[3].tolist() == [[1000, 2000]]
    frames = np.array([[1000, 1500, 1.0], [1500, 1600, 0.0], [1600, 1700, 0.5]])
    available = replace(
        available, frames={3: frames}, bad_pixels=pixel_codes([4, 4], [7, 7], [1, 2])
    )
    n = 4000
    time = np.tile(np.linspace(1000, 1999, n // 4), 4)
    ccdnr = np.repeat([1, 3, 4, 5], n // 4).astype(np.uint8)
    ccdnr[n // 2] = 6
    columns = {name: np.zeros(n, np.int16) for name in ("x", "y", "pi", "pattern", "flag")}
    rawx, rawy = np.full(n, 7, np.int16), np.arange(n, dtype=np.int16) % 4
    events = EventList(time=time, ccdnr=ccdnr, rawx=rawx, rawy=rawy, **columns)
    kept = available.gives_events(events, np.random.default_rng(1))
    assert not kept[(ccdnr == 1) & (time > 1200) & (time < 1400)].any()
    assert kept[(ccdnr == 1) & ((time < 1200) | (time >= 1400))].all()
    assert kept[(ccdnr == 3) & (time < 1500)].all()
    assert not kept[(ccdnr == 3) & (time >= 1500) & (time < 1600)].any()
    assert 20 < kept[(ccdnr == 3) & (time >= 1600) & (time < 1700)].sum() < 80
    assert not kept[(ccdnr == 3) & (time >= 1700)].any()
    assert np.array_equal(kept[ccdnr == 4], ~np.isin(rawy[ccdnr == 4], [1, 2]))
    without = replace(
        available, good_times={5: available.good_times[3]}, bad_pixels=pixel_codes([], [], [])
    )
    assert without.gives_events(events, np.random.default_rng(1)).sum() == (ccdnr == 5).sum()


CUT = (1000.0, 1600.0)
"""Time that is cut out of lists, seconds from the first event."""


def outside(hdu: fits.BinTableHDU, zero: float, ccdnr: int = 0) -> np.ndarray:
    time = hdu.data["TIME"] - zero
    cut = (time > CUT[0]) & (time < CUT[1])
    return ~(cut & (hdu.data["CCDNR"] == ccdnr)) if ccdnr else ~cut


def good_times(zero: float, name: str) -> fits.BinTableHDU:
    start, stop = np.array([-1e4, CUT[1]]) + zero, np.array([CUT[0], 1e4]) + zero
    columns = [fits.Column(n, "D", array=a) for n, a in (("START", start), ("STOP", stop))]
    return fits.BinTableHDU.from_columns(columns, name=name)


def cut_time(hdus: fits.HDUList, how: str) -> fits.HDUList:
    """What programs leave of a list whose time they filter."""
    zero = hdus["EVENTS"].data["TIME"].min()
    names = [hdu.name for hdu in hdus]
    stated = [name for name in names if name.startswith("STDGTI")]
    if how == "chip":
        hdus["EVENTS"].data = hdus["EVENTS"].data[outside(hdus["EVENTS"], zero, ccdnr=3)]
    elif how != "gti in a sparse list":
        hdus["EVENTS"].data = hdus["EVENTS"].data[outside(hdus["EVENTS"], zero)]
    if how == "gti of each chip":
        for number in range(len(stated)):
            hdus.append(good_times(zero, f"GTI{number:03d}03"))
    elif how == "gti in a sparse list":
        rows = hdus["EVENTS"].data[::300]
        time = rows["TIME"] - zero
        hdus["EVENTS"].data = rows[(time < CUT[0]) | (time > CUT[1])]
        hdus.append(good_times(zero, "GTI"))
    elif how == "stdgti":
        for name in stated:
            hdus[name] = good_times(zero, name)
    elif how == "no tables":
        return fits.HDUList([hdu for hdu in hdus if hdu.name not in stated])
    return hdus


@pytest.mark.parametrize(
    "how",
    every_third(
        ["gti of each chip", "gti in a sparse list", "stdgti", "no tables", "stale", "chip"]
    ),
)
def test_no_photon_in_time_that_was_cut_out(folder, tmp_path, how):
    here = copy(folder, tmp_path)
    for path in event_lists(here):
        edit(path, partial(cut_time, how=how))
    (files,), _ = find_observations([here])
    found, notes = read_targets(files)
    assert not notes
    steady = SourceModel("steady", 0, 0, dict.fromkeys(TYPICAL_RATES, 3.0))
    for path, target in found.items():
        exposure = target.exposure
        zero = read_event_list(folder / path.name)[1].time.min()
        detector, camera = DETECTORS[exposure.instrument], exposure.camera
        middle = detector.detector_from_raw(3, camera.n_columns / 2, camera.n_rows / 2)
        ra, dec = target.plane.to_sky(*detector.sky_from_detector(*middle, exposure.pa_pnt))
        merged = inject(target, [replace(steady, ra_deg=float(ra), dec_deg=float(dec))], 1)
        new = merged.events.take(merged.is_new)
        time = new.time[new.ccdnr == 3] - zero
        assert not ((time > CUT[0] + 1) & (time < CUT[1] - 1)).any()
        assert (time < CUT[0]).sum() > 500
        assert (time > CUT[1]).sum() > 500


def test_a_table_of_good_times_that_was_not_applied_is_left_alone(folder, tmp_path):
    here = copy(folder, tmp_path)
    for path in event_lists(here):
        edit(path, lambda hdus: hdus.append(good_times(hdus["EVENTS"].data["TIME"].min(), "GTI")))
    path = event_lists(here)[0]
    _, events = read_event_list(path)
    times = read_availability(path, events).good_times
    original = event_lists(folder)[0]
    expected = read_availability(original, events).good_times
    assert {k: v.tolist() for k, v in times.items()} == {k: v.tolist() for k, v in expected.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ra_deg": 10.0}, r"outside the field of view of every camera of observation 0900000101"),
        ({"light_curve": BoxBurst(0, 10)}, r"has no light in observation 0900000101, which lasts"),
        ({"rate": {"EPN": 0.0}}, r"no rate above 0"),
    ],
)
def test_sources_that_give_nothing(targets, change, message):
    source = replace(burst(targets), **change)
    with pytest.raises(ConfigError, match=message):
        with_counts(source, targets, 10)
    for target in targets:
        assert not inject(target, [source], 1).is_new.any()


def test_gaps_are_named(targets):
    target = replace(targets[0], availability=replace(targets[0].availability, good_times={}))
    with pytest.raises(ConfigError, match="gaps, bad pixels"):
        with_counts(burst(targets), [target], 10)


def test_lists_that_take_no_sources(targets):
    exposure, events = targets[0].exposure, targets[0].events
    name = exposure.filename
    with pytest.raises(ConfigError, match=rf"^{name}: The event list is empty"):
        Target.of(exposure, EventList.empty())
    with pytest.raises(ConfigError, match=rf"^{name}: An exposure from .* has no length"):
        Target.of(exposure, events.take(np.arange(1)))
    with pytest.raises(ConfigError, match=rf"^{name} has no PA_PNT"):
        Target.of(replace(exposure, pa_pnt=np.nan), events)
    with pytest.raises(ConfigError, match=rf"^{name}: .*does not know the submode"):
        Target.of(replace(exposure, submode="FastTiming"), events)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Source 3 needs a place"),
        ("ra=1,counts=5", "Source 3 needs a place: ra and dec, or off_axis and azimuth"),
        ("ra=1,dec=2,off_axis=1,azimuth=2,counts=5", "needs a place"),
        ("ra=1,dec=2", "Source 3 needs a strength: either counts or rate"),
        ("ra=1,dec=2,counts=5,rate=1", "either counts or rate"),
        ("ra=1,dec=2,flux=5", "has no setting flux; there are name, ra, dec"),
        ("ra=1,dec=2,counts=nan", "counts is nan; it must be a number"),
        ("ra=1,dec=2,counts", "'counts' has no value"),
        ("ra=1,ra=2,dec=2,counts=1", "'ra' is given twice"),
        ("off_axis=-1,azimuth=2,counts=5", "off_axis is -1"),
    ],
)
def test_wrong_sources_are_named(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_source(text, 3)


def test_sources_from_text(tmp_path):
    request = parse_source(REAL)
    assert request == SourceRequest("source-1", PLACE, counts=200.0, light=BURST)
    request = parse_source("name=x,off_axis=3,azimuth=90,rate=0.1,rate_EMOS1=0.2,energy=2,extent=5")
    expected = {"EPN": 0.1, "EMOS1": 0.2, "EMOS2": pytest.approx(0.035), "ACIS": 0.1}
    assert dict(request.rates) == expected
    assert (request.is_relative, request.energy_kev, request.extent_arcsec) == (True, 2, 5)
    toml = """
[[source]]
ra = 263.67
dec = -32.58
counts = 200
light = { model = "box", start = 1000, duration = 50 }

[[source]]
name = "steady"
off_axis = 5
azimuth = 45
rate = { EPN = 0.1, EMOS1 = 0.03 }
"""
    first, second = requests_from_toml(toml, "sources.toml")
    assert first.light == {"model": "box", "start": 1000, "duration": 50}
    assert dict(second.rates) == {"EPN": 0.1, "EMOS1": 0.03}
    table = f'name,ra,dec,counts,rate,light\n,263.67,-32.58,200,,"{BURST}"\nb,1,2,,0.5,\n'
    first, second = requests_from_csv(table, "sources.csv")
    assert first == parse_source(REAL)
    assert (second.name, second.light, second.rates["EPN"]) == ("b", "constant", 0.5)
    for name, content in (("s.toml", toml), ("s.csv", table)):
        (tmp_path / name).write_text(content)
        requests, tables = load_requests([], tmp_path / name)
        assert len(requests) == 2
        assert tables == tmp_path


@pytest.mark.parametrize(
    ("read", "text", "message"),
    [
        (requests_from_toml, "[[source", "f is not TOML"),
        (requests_from_toml, "[source]\nra=1\n", r"f must hold tables \[\[source\]\]"),
        (requests_from_toml, "[[source]]\nra=1\n", "f, source 1 needs a place"),
        (requests_from_toml, "[[source]]\nra='x'\n", "f, source 1: ra is x; it must be a number"),
        (requests_from_csv, "ra,dec,counts\n1,2,3\n1,2,x\n", "f, line 3: counts is x"),
        (requests_from_csv, "ra,dec,counts,light\n1,2,3,box:start=1,duration=2\n", "f, line 2 has"),
        (requests_from_csv, "ra,dec,flux\n1,2,3\n", "f, line 2 has no setting flux"),
    ],
)
def test_wrong_files_of_sources_are_named(read, text, message):
    with pytest.raises(ConfigError, match=message):
        read(text, "f")


def test_names_are_unique():
    with pytest.raises(ConfigError, match="No source is given"):
        unique([])
    with pytest.raises(ConfigError, match="More than one source is called source-1"):
        unique([parse_source(REAL), parse_source(REAL)])


def test_bad_files_of_sources(tmp_path):
    with pytest.raises(ConfigError, match=r"must be a \.toml or a \.csv file"):
        load_requests([], tmp_path / "sources.txt")
    with pytest.raises(ConfigError, match=r"none\.csv cannot be read: No such file"):
        load_requests([], tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes(b"\xff\xfe\xe9")
    with pytest.raises(ConfigError, match="no text in UTF-8"):
        load_requests([], tmp_path / "latin.csv")
    with pytest.raises(ConfigError, match="not by both"):
        load_requests([REAL], tmp_path / "none.csv")


def test_simulated_files(folder, tmp_path):
    text = "off_axis=2,azimuth=0,counts=300,light=fred:start=2500,rise=5,decay=60"
    (done,) = inject_files([folder], tmp_path, [parse_source(text)], 3)
    assert {path.name for path in done.paths} == {
        *(path.name for path in folder.glob("P*.FTZ")),
        "0900000101_injected.csv",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["0900000101"]
    truth = pd.read_csv(done.paths[-1])
    assert truth["light"].tolist() == ["fred:start=2500,rise=5,decay=60"]
    assert truth["expected_total"].tolist() == pytest.approx([300])
    for path in folder.glob("*IEVLI*"):
        _, before = read_event_list(path)
        exposure, after = read_event_list(tmp_path / "0900000101" / path.name)
        good = [exposure.is_good(events).sum() for events in (before, after)]
        assert good[1] - good[0] == truth[f"counts_{exposure.instrument}"][0]
    assert (tmp_path / "0900000101" / "P0900000101EPX000OBSMLI0000.FTZ").read_bytes() == (
        folder / "P0900000101EPX000OBSMLI0000.FTZ"
    ).read_bytes()
    found = exod.detect(tmp_path / "0900000101").regions
    row = truth.iloc[0]
    distance = np.hypot(
        (found["ra_deg"] - row["ra_deg"]) * np.cos(np.deg2rad(row["dec_deg"])),
        found["dec_deg"] - row["dec_deg"],
    )
    assert distance.min() * 3600 < 15


def test_search_in_memory_is_that_of_files(folder, observation, tmp_path):
    """The same runs, cell by cell, from lists that were never written."""
    config = exod.Config.load(overrides=["cube.t_bin=[50]"])
    files = find_observations([folder])[0][0]
    targets, notes = read_targets(files)
    assert notes == []
    targets = list(targets.values())
    request = parse_source(f"off_axis=2,azimuth=0,counts=80,light={BURST}")
    lists, _ = inject_in_memory(targets, [request.source(targets)], 3)
    found = lists_in_memory(lists, known_sources(observation, config), config)
    inject_files([folder], tmp_path, [request], 3)
    tables = exod.detect(tmp_path / "0900000101", config)
    runs = list(search_subset(found.obsid, found.subsets[0], found.sources, config))
    assert [run.cube.n_sum for run in runs] == tables.runs["n_sum"].tolist()
    assert [len(run.regions) for run in runs] == tables.runs["n_regions"].tolist()
    assert tables.runs["n_regions"].sum() > 0


def test_same_seed_same_bytes(folder, tmp_path):
    text = f"off_axis=2,azimuth=0,counts=30,light={BURST}"
    content = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (done,) = inject_files([folder], tmp_path / name, [parse_source(text)], seed)
        content.append({path.name: path.read_bytes() for path in done.paths})
    assert content[0] == content[1]
    lists = [name for name in content[0] if "IEVLI" in name]
    assert all(content[0][name] != content[2][name] for name in lists)


def test_uncompressed_lists_and_other_columns(folder, tmp_path):
    """Columns that the simulator does not know are those of the row before."""
    source = next(folder.glob("*PN*IEVLI*"))
    with fits.open(source) as hdus:
        table = hdus["EVENTS"]
        frame = np.arange(len(table.data), dtype=np.int32)
        extra = [
            fits.Column("FRAME", "J", array=frame),
            fits.Column("TIME_RAW", "D", array=table.data["TIME"] - 100.0),
            fits.Column("NUMBER", "J", bzero=2**31, array=frame.astype(np.uint32)),
        ]
        new = fits.BinTableHDU.from_columns(table.columns + fits.ColDefs(extra), name="EVENTS")
        new.header.extend(table.header, unique=True)
        plain = tmp_path / "0900000101" / source.name.replace(".FTZ", ".FITS")
        plain.parent.mkdir()
        fits.HDUList([hdus[0], new]).writeto(plain)
    request = parse_source(f"off_axis=2,azimuth=0,counts=50,light={BURST}")
    (done,) = inject_files([plain], tmp_path / "out", [request], 1)
    assert done.paths[0].read_bytes()[:6] == b"SIMPLE"
    with fits.open(done.paths[0]) as hdus, fits.open(plain) as before:
        hdus.verify("exception")
        rows, old = hdus["EVENTS"].data, before["EVENTS"].data
        is_new = ~np.isin(rows["TIME"], old["TIME"])
        assert rows[~is_new].tobytes() == old.tobytes()
        places = np.flatnonzero(is_new)
        assert len(places) > 10
        assert np.array_equal(rows["FRAME"], np.maximum.accumulate(rows["FRAME"]))
        assert np.array_equal(rows["FRAME"], rows["NUMBER"])
        assert np.allclose(rows["TIME"] - rows["TIME_RAW"], 100)
        new = rows[is_new]
        assert np.all(np.abs(new["PHA"] - 0.19 * new["PI"]) < 20)
        assert not new["PAT_ID"].any()
        assert "seed 1" in str(hdus["EVENTS"].header["HISTORY"]).replace("\n", "")


def test_errors_leave_nothing_behind(folder, tmp_path):
    request = parse_source(f"off_axis=2,azimuth=0,counts=50,light={BURST}")
    out = tmp_path / "out"
    for text, message in (
        ("ra=10,dec=10,counts=50", "outside the field of view of every camera"),
        ("off_axis=2,azimuth=0,counts=50,light=box:start=90000,duration=5", "has no light in"),
        ("off_axis=2,azimuth=0,counts=-50", "counts is -50; it must be above 0"),
        ("off_axis=2,azimuth=0,rate=-1", "rate in EPN is -1"),
        ("off_axis=2,azimuth=0,counts=1,energy=50", "energy_kev is 50"),
        ("off_axis=2,azimuth=0,counts=1,light=table:file=no.csv", r"no\.csv cannot be read"),
    ):
        with pytest.raises(ConfigError, match=message):
            inject_files([folder], out, [parse_source(text)], 1)
        assert not out.exists()
    with pytest.raises(ExodError, match="does not exist"):
        inject_files([tmp_path / "none"], out, [request], 1)
    (out / "0900000101").mkdir(parents=True)
    with pytest.raises(ConfigError, match="is there already"):
        inject_files([folder], out, [request], 1)
    (tmp_path / "file").write_text("")
    with pytest.raises(ExodError, match="cannot be written"):
        inject_files([folder], tmp_path / "file" / "below", [request], 1)
    assert list(out.iterdir()) == [out / "0900000101"]


def test_lists_that_are_copied(folder, tmp_path):
    """Timing lists and empty ones stay as they are; alone they are an error."""
    source = next(folder.glob("*M1*IEVLI*"))
    empty = tmp_path / "in" / "P0900000101M1S009MIEVLI0000.FTZ"
    empty.parent.mkdir()
    with fits.open(source) as hdus:
        hdus["EVENTS"].data = hdus["EVENTS"].data[:0]
        with gzip.open(empty, "wb") as file:
            hdus.writeto(file)
    request = parse_source(f"off_axis=2,azimuth=0,counts=50,light={BURST}")
    with pytest.raises(ConfigError, match=r"no event list .* has no events"):
        inject_files([empty], tmp_path / "out", [request], 1)
    (done,) = inject_files([folder, empty], tmp_path / "out", [request], 1)
    assert done.notes == (f"{empty.name} has no events.",)
    assert (tmp_path / "out" / "0900000101" / empty.name).read_bytes() == empty.read_bytes()


def test_command(folder, tmp_path, command: Callable[..., tuple[int, str, str]]):
    (tmp_path / "flare.csv").write_text("time,rate\n1000,0\n1020,1\n1100,0\n")
    (tmp_path / "sources.csv").write_text(
        'name,off_axis,azimuth,counts,light\nflare,4,10,60,"table:file=flare.csv"\n'
    )
    code, out, err = command(
        "inject", folder, "--to", tmp_path / "out", "--sources", tmp_path / "sources.csv"
    )
    assert code == 0, err
    assert "flare" in out
    assert "60.0" in out
    code, out, err = command("inject", folder, "--to", tmp_path / "b", "--source", "ra=1")
    assert code == 2
    assert "needs a place" in err
    code, out, err = command("inject", folder, "--to", tmp_path / "b")
    assert code == 2
    assert "No source is given" in err


@pytest.mark.realdata
def test_real_events_agree_with_availability(real):
    """What the extensions say of frames and bad pixels is where the real events are."""
    for target in real.values():
        available, events = target.availability, target.events
        whole = replace(
            available, frames={c: f * [1, 1, 0] + [0, 0, 1] for c, f in available.frames.items()}
        )
        kept = whole.gives_events(events, np.random.default_rng(1))
        assert kept.mean() > 0.9999
        kept = available.gives_events(events, np.random.default_rng(1))
        assert 0.99 < kept.mean() < 0.995
        assert len(available.bad_pixels) > 30_000


@pytest.mark.parametrize(
    ("extension", "column", "value", "is_said"),
    [
        ("STDGTI01", "STOP", None, False),
        ("STDGTI01", "STOP", 1.0, True),
        ("STDGTI01", "START", np.nan, True),
        ("STDGTI02", "STOP", 1e12, False),
        ("EXPOSU01", "TIME", -np.inf, True),
        ("EXPOSU01", "TIME", 1e5, True),
        ("EXPOSU01", "TIMEDEL", -2.0, True),
        ("EXPOSU01", "FRACEXP", 1.5, True),
        ("BADPIX01", "RAWX", 700, True),
        ("EXPOSU09", "", None, True),
        ("BADPIX01", "YEXTENT", 30_000, True),
    ],
)
def test_impossible_times_and_pixels_are_said(tmp_path, extension, column, value, is_said):
    observation = simulate(default_observation("0900000701", 1, 2000.0, ["EMOS1"], n_sources=1), 1)
    path = write_observation(observation, tmp_path)[0]
    exposure, _ = read_event_list(path)
    start = observation.event_lists[0].start
    frames = {"TIME": [start + 10.0, start + 20.0], "TIMEDEL": [10.0, 10.0], "FRACEXP": [0.9, 1.0]}
    pixels = {"RAWX": [5, 600], "RAWY": [1, 600], "YEXTENT": [600, 1]}
    tables = {"EXPOSU01": frames, "BADPIX01": pixels}
    with fits.open(path) as hdus:
        for name, content in {**tables, extension: tables.get(extension, frames)}.items():
            if name.startswith("STDGTI"):
                continue
            columns = [fits.Column(key, "D", array=values) for key, values in content.items()]
            hdus.append(fits.BinTableHDU.from_columns(columns, name=name))
        if value is not None:
            rows = next(hdu for hdu in hdus if hdu.name == extension and len(hdu.data)).data
            rows[column][0] = value
        hdus.writeto(tmp_path / path.name)
    notes = read_availability(tmp_path / path.name, read_event_list(path)[1]).notes
    assert len(notes) == is_said
    assert ("cannot be right" in " ".join(notes)) == is_said
    assert exposure.filename in " ".join(notes) or not is_said


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["0916810801_PN1_src.evt", "0932190801_PN1_src.evt"])
def test_real_pn_list(data_dir, tmp_path, name):
    """Frames without TIMEDEL as a column, PAT_ID and TIME_RAW, and where a source lands."""
    path = data_dir / "pn_regions" / name
    exposure, events = read_event_list(path)
    available = read_availability(path, events)
    (frames,) = available.frames.values()
    live = frames[:, 2].mean()
    assert 0.9 < live < 0.99
    assert available.gives_events(events, np.random.default_rng(1)).mean() == pytest.approx(
        live, abs=4 * np.sqrt(live * (1 - live) / len(events))
    )
    ra, dec = exposure.plane.to_sky(np.median(events.x), np.median(events.y))
    (done,) = inject_files([path], tmp_path, [parse_source(f"ra={ra},dec={dec},counts=300")], 1)
    assert abs(done.truth["counts_EPN"][0] - 300) < 5 * np.sqrt(300)
    with fits.open(done.paths[0]) as hdus:
        rows = hdus["EVENTS"].data
        is_new = ~np.isin(rows["TIME"], events.time)
        new, old = rows[is_new], rows[~is_new]
        for column in ("X", "Y", "DETX", "DETY"):
            # Medians of 300 photons scatter by half an arcsec, 10 units.
            assert abs(np.median(new[column]) - np.median(old[column])) < 40
        assert np.all(np.abs(new["TIME"] - new["TIME_RAW"] - 141) < 5)
        assert not new["PAT_ID"].any()
        assert len(hdus) == 54


@pytest.mark.realdata
def test_real_lists_keep_everything_else(real, tmp_path):
    (done,) = inject_files(list(real), tmp_path, [parse_source(REAL)], 1)
    row = done.truth.iloc[0]
    assert abs(row["counts_total"] - 200) < 5 * np.sqrt(200)
    for path in real:
        old, new = (
            gzip.decompress(p.read_bytes()) for p in (path, tmp_path / "0001730201" / path.name)
        )
        with fits.open(path) as before, fits.open(tmp_path / "0001730201" / path.name) as after:
            after.verify("exception")
            assert [hdu.name for hdu in after] == [hdu.name for hdu in before]
            rows, previous = after["EVENTS"].data, before["EVENTS"].data
            is_new = ~np.isin(rows["TIME"], previous["TIME"])
            assert rows[~is_new].tobytes() == previous.tobytes()
            cards, old_cards = (
                [str(card) for card in hdus["EVENTS"].header.cards if card[0] != "HISTORY"]
                for hdus in (after, before)
            )
            changed = [c for c, d in zip(cards, old_cards, strict=True) if c != d]
            assert [card.split()[0] for card in changed] == ["NAXIS2"]
            # The primary header and the extensions, byte for byte.
            assert (
                old[: before["EVENTS"].fileinfo()["hdrLoc"]]
                == new[: after["EVENTS"].fileinfo()["hdrLoc"]]
            )
            assert old[before[2].fileinfo()["hdrLoc"] :] == new[after[2].fileinfo()["hdrLoc"] :]
            instrument = before["EVENTS"].header["INSTRUME"]
            good = is_new & (rows["PI"] >= 200) & (rows["PI"] <= 12000) & (rows["PATTERN"] <= 12)
            good &= (rows["FLAG"] & 0x766BA000) == 0
            assert good.sum() == row[f"counts_{instrument}"]


@pytest.mark.realdata
@pytest.mark.slow
def test_search_finds_a_burst_in_the_real_observation(data_dir, tmp_path):
    start = 4000
    text = f"ra=263.75,dec=-32.62,counts=150,light=box:start={start},duration=60"
    folder = data_dir / "xmm" / "0001730201"
    inject_files([folder], tmp_path, [parse_source(text)], 1)
    config = exod.Config.load(overrides=["cube.t_bin=[50]", "cube.bands=[[0.2, 12.0]]"])
    near = []
    for where in (folder, tmp_path / "0001730201"):
        regions = exod.detect(where, config).regions
        east = (regions["ra_deg"] - 263.75) * np.cos(np.deg2rad(32.62)) * 3600
        north = (regions["dec_deg"] + 32.62) * 3600
        near.append(int((np.hypot(east, north) < 15).sum()))
    assert near == [0, 1]
