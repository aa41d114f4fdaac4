"""Hot and flickering pixels: all of the injected ones, nothing of any source."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.strategies import make_events, seeds
from hypothesis import given
from hypothesis import strategies as st

from exod.instruments import CAMERAS, EMOS1, EPN
from exod.observation.events import EventList, select_events
from exod.observation.hotpixels import (
    REACH,
    _PixelPlane,
    find_hot_pixels,
    hot_pixel_mask,
    listed_hot_pixels,
    peak_ratio,
)
from exod.pps import find_observations, read_event_list
from exod.simulate import (
    BoxBurst,
    ExposureModel,
    GaussianBurst,
    ObservationModel,
    SourceModel,
    simulate,
)
from exod.simulate.scenario import random_hot_pixels

OBSID = "0900000101"
START, DURATION = 6.0e8, 5000.0
COLUMNS = ["ccdnr", "rawx", "rawy", "time_lo", "time_hi", "n", "n_neighbours", "log10_p"]


def exposure_of(camera):
    return ExposureModel(camera, "S001", START, DURATION)


def selected_of(exposure, sources=(), seed=0):
    """Selected events of a simulated exposure."""
    model = ObservationModel(OBSID, 83.2, -5.4, 30.0, (exposure,), sources)
    (simulated,) = simulate(model, seed).event_lists
    return select_events(simulated.exposure, simulated.events).events


def at(events, pixel):
    ccdnr, rawx, rawy = pixel
    return (events.ccdnr == ccdnr) & (events.rawx == rawx) & (events.rawy == rawy)


def pixels_of(hot):
    return {*zip(hot["ccdnr"], hot["rawx"], hot["rawy"], strict=True)}


# --- injected --------------------------------------------------------------------------------


@pytest.mark.parametrize("camera", ["EPN", "EMOS1", "EMOS2"])
@pytest.mark.parametrize("seed", [0, 1])
def test_hot_and_flickering_pixels_are_found(camera, seed):
    exposure = exposure_of(camera)
    bad = random_hot_pixels(np.random.default_rng(seed), exposure, 30)
    exposure = replace(exposure, hot_pixels=bad)
    events = selected_of(exposure, seed=seed)
    hot = find_hot_pixels(events, CAMERAS[camera])
    mask = hot_pixel_mask(events, hot)
    checked = 0
    for pixel in bad:
        own = at(events, (pixel.ccdnr, pixel.rawx, pixel.rawy))
        if own.sum() >= 20:
            checked += 1
            assert mask[own].mean() > 0.95
    assert checked > 15
    assert pixels_of(hot) <= {(p.ccdnr, p.rawx, p.rawy) for p in bad}
    # What is removed elsewhere is nothing: the mask holds events of listed pixels only.
    assert mask.sum() == sum((mask & at(events, pixel)).sum() for pixel in pixels_of(hot))


def joined(*lists):
    """Events of several lists in order of time."""
    columns = zip(*(vars(events).values() for events in lists), strict=True)
    return EventList(*(np.concatenate(column) for column in columns)).sorted_by_time()


@pytest.mark.parametrize(("camera", "n"), [(EMOS1, 14), (EPN, 30)])
@pytest.mark.parametrize("length", [2.0, 30.0, 300.0])
def test_a_single_episode_is_found(camera, n, length):
    """A pixel that is no brighter than others but once loses that time only."""
    generator = np.random.default_rng(7)
    size = 8000
    field = make_events(
        np.sort(START + generator.uniform(0, DURATION, size)),
        rawx=generator.integers(20, 60, size),
        rawy=generator.integers(80, 120, size),
    )
    quiet = field.take(~at(field, (2, 40, 100)))
    begin = START + 2000.0
    times = begin + length * np.linspace(0, 1, n)
    steady = START + np.array([100.0, 1500.0, 3500.0, 4500.0])
    events = joined(quiet, *(make_events(t, rawx=40, rawy=100) for t in (times, steady)))
    hot = find_hot_pixels(events, camera)
    assert pixels_of(hot) == {(2, 40, 100)}
    assert hot["time_lo"].min() == begin
    assert hot["time_hi"].max() == begin + length
    assert hot_pixel_mask(events, hot).sum() == n
    assert find_hot_pixels(quiet, camera).empty


@pytest.mark.parametrize(("camera", "n"), [("EMOS1", 9), ("EPN", 16)])
def test_a_pixel_that_stands_out_of_the_exposure_is_removed_from_all_of_it(camera, n):
    events = selected_of(exposure_of(camera))
    pixel = (3, 40, 100)
    quiet = events.take(~at(events, pixel))
    times = np.r_[START + 100.0, START + 2000 + np.arange(float(n)), START + 4500.0]
    events = joined(quiet, make_events(times, ccdnr=3, rawx=40, rawy=100))
    hot = find_hot_pixels(events, CAMERAS[camera])
    assert pixels_of(hot) == {pixel}
    assert hot_pixel_mask(events, hot).sum() == n + 2


def test_hot_pixel_in_the_corner_of_a_chip():
    """Fewer neighbours there, and none on the next chip."""
    events = selected_of(exposure_of("EMOS1"))
    for rawx, rawy in ((1, 1), (600, 600), (1, 600)):
        flicker = make_events(START + np.arange(50.0), ccdnr=4, rawx=rawx, rawy=rawy)
        hot = find_hot_pixels(joined(events, flicker), EMOS1)
        assert pixels_of(hot) == {(4, rawx, rawy)}


# --- sources ---------------------------------------------------------------------------------


@pytest.mark.parametrize("camera", ["EPN", "EMOS1", "EMOS2"])
def test_sources_lose_nothing(camera):
    """Two bursts and a very bright source; narrower than the PSF (method.md, Hot pixels).

    0.01 pixels are expected on each of four time scales, were sources as sharp as the margin
    allows; they are not.
    """
    exposure = exposure_of(camera)
    plane = ObservationModel(OBSID, 83.2, -5.4, 30.0, (exposure,)).plane
    generator = np.random.default_rng(1)
    lost = 0
    for seed in range(7):
        offsets = generator.uniform(-4500, 4500, (4, 2))
        places = [tuple(map(float, plane.to_sky(25921 + dx, 25921 + dy))) for dx, dy in offsets]
        sources = (
            SourceModel("bright", *places[0], {camera: 8.0}),
            SourceModel.burst("strong", *places[1], {camera: 400.0}, BoxBurst(START + 2000, 8.0)),
            SourceModel.burst("short", *places[2], {camera: 40.0}, BoxBurst(START + 900, 0.5)),
            SourceModel.burst(
                "long", *places[3], {camera: 300.0}, GaussianBurst(START + 3500, 99.0)
            ),
        )
        events = selected_of(exposure, sources, seed)
        lost += len(pixels_of(find_hot_pixels(events, CAMERAS[camera])))
    assert lost == 0


@pytest.mark.parametrize("camera", CAMERAS.values(), ids=CAMERAS.keys())
def test_neighbours_count_where_the_chip_has_pixels(camera):
    """At the edges and the corners: those within reach that are on the chip, without itself."""
    n_x, n_y = camera.n_columns, camera.n_rows
    columns, rows = (np.array([1, 2, 3, n // 2, n - 2, n - 1, n]) for n in (n_x, n_y))
    rawx, rawy = (a.ravel() for a in np.meshgrid(columns, rows))
    plane = _PixelPlane.of(make_events(np.zeros(rawx.size), rawx=rawx, rawy=rawy), camera)
    _, y, x = (a - REACH for a in np.unravel_index(plane.pixel, plane.shape))
    assert {*zip(x, y, strict=True)} == {*zip(rawx, rawy, strict=True)}
    n_near = [
        np.minimum(a + REACH, n) - np.maximum(a - REACH, 1) + 1 for a, n in ((x, n_x), (y, n_y))
    ]
    share = plane.ratio / (plane.ratio + n_near[0] * n_near[1] - 1)
    np.testing.assert_allclose(plane.share(plane.pixel), share, rtol=1e-6)


def test_a_source_is_never_as_sharp_as_the_limit():
    """The brightest pixel of the PSF on a pixel's centre, against its 24 neighbours."""
    for camera in CAMERAS.values():
        assert peak_ratio(camera) > 1.6
    assert peak_ratio(EPN) > peak_ratio(EMOS1)  # larger pixels hold more of the core


@pytest.mark.realdata
def test_real_pn_sources_lose_nothing(data_dir):
    lists = sorted((data_dir / "pn_regions").glob("*.evt"))
    assert lists
    for path in lists:
        exposure, events = read_event_list(path)
        selected = select_events(exposure, events).events
        assert find_hot_pixels(selected, exposure.camera).empty


@pytest.mark.realdata
def test_real_bright_star_loses_nothing(data_dir):
    """HD 159176 in MOS1 and MOS2: 9000 counts each, piled up in the core."""
    (files,), _ = find_observations([data_dir / "xmm" / "0001730201"])
    for path in files.event_lists:
        exposure, events = read_event_list(path)
        selected = select_events(exposure, events).events
        hot = find_hot_pixels(selected, exposure.camera)
        x, y = exposure.plane.to_pixel(263.67710, -32.58169)
        star = np.hypot(selected.x - x, selected.y - y) * 0.05 < 60
        assert star.sum() > 9000
        assert not (hot_pixel_mask(selected, hot) & star).any()
        assert len(pixels_of(hot)) <= 5


# --- mask ------------------------------------------------------------------------------------


@given(seeds, st.integers(0, 60), st.integers(0, 6))
def test_mask_is_pixel_and_episode(seed, n, n_hot):
    generator = np.random.default_rng(seed)
    events = make_events(
        np.sort(generator.integers(0, 20, n)).astype(float),
        ccdnr=generator.integers(1, 3, n),
        rawx=generator.integers(1, 4, n),
        rawy=generator.integers(1, 4, n),
    )
    low = generator.integers(0, 20, n_hot).astype(float)
    hot = pd.DataFrame(
        {
            "ccdnr": generator.integers(1, 3, n_hot),
            "rawx": generator.integers(1, 4, n_hot),
            "rawy": generator.integers(1, 4, n_hot),
            "time_lo": low,
            "time_hi": low + generator.integers(0, 5, n_hot),
        }
    )
    expected = [
        any(
            (c, x, y) == (row.ccdnr, row.rawx, row.rawy) and row.time_lo <= t <= row.time_hi
            for row in hot.itertuples()
        )
        for t, c, x, y in zip(events.time, events.ccdnr, events.rawx, events.rawy, strict=True)
    ]
    assert hot_pixel_mask(events, hot).tolist() == expected


def test_episodes_of_a_pixel_do_not_overlap():
    exposure = exposure_of("EMOS1")
    bad = random_hot_pixels(np.random.default_rng(5), exposure, 20)
    hot = find_hot_pixels(selected_of(replace(exposure, hot_pixels=bad)), EMOS1)
    assert list(hot) == COLUMNS
    assert (hot["time_lo"] <= hot["time_hi"]).all()
    for _, rows in hot.groupby(["ccdnr", "rawx", "rawy"]):
        assert (rows["time_lo"].to_numpy()[1:] > rows["time_hi"].to_numpy()[:-1]).all()


# --- degenerate input ------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 2, 5])
@pytest.mark.parametrize("camera", [EPN, EMOS1])
def test_few_events(n, camera):
    hot = find_hot_pixels(make_events(np.arange(float(n)), ccdnr=1, rawx=9, rawy=30), camera)
    assert list(hot) == COLUMNS
    assert len(hot) <= 1


def test_all_events_in_one_pixel():
    events = make_events(np.arange(100.0), ccdnr=1, rawx=9, rawy=30)
    hot = find_hot_pixels(events, EMOS1)
    assert hot_pixel_mask(events, hot).all()


def test_pixels_outside_the_chip_do_not_fail():
    """RAWX and RAWY of real files start at 1; those of a damaged one may be anything."""
    events = make_events(np.arange(60.0), rawx=[0, -5, 700] * 20, rawy=[0, 650, -1] * 20)
    assert list(find_hot_pixels(events, EMOS1)) == COLUMNS


# --- listed ----------------------------------------------------------------------------------


def test_listed_pixels_are_removed_within_their_revolutions():
    table = pd.DataFrame(
        [
            ("EMOS1", 2, 30, 100, 100, 200),
            ("EMOS1", 2, 30, 100, 50, 180),
            ("EMOS1", 2, 31, 100, 150, 200),
            ("EMOS1", 2, 32, 100, 100, 150),
            ("EMOS2", 2, 33, 100, 100, 200),
            ("EMOS1", 2, 34, 100, 149, 151),
        ],
        columns=["INSTRUME", "CCDNR", "RAWX", "RAWY", "REV1", "REV2"],
    )
    events = make_events(np.arange(7.0), rawx=[30, 30, 31, 32, 33, 34, 35])
    hot = listed_hot_pixels(table, events, EMOS1, 150)
    assert list(hot) == COLUMNS
    assert [*zip(hot["rawx"], hot["n"], strict=True)] == [(30, 2), (34, 1)]
    mask = hot_pixel_mask(events, hot)
    assert np.flatnonzero(mask).tolist() == [0, 1, 5]
    assert listed_hot_pixels(table, events, EMOS1, 3000).empty
