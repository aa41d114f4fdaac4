"""Exposure maps: chips, gaps, windows, lost pixels, and what they say of even light."""

import numpy as np
import pytest
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.exposures import FEWEST, ratios
from exod.errors import ConfigError
from exod.instruments import CAMERAS
from exod.instruments.detector import DETECTORS, read_out
from exod.instruments.vignetting import VIGNETTING
from exod.observation.availability import pixel_codes
from exod.sensitivity.exposuremaps import MapGrid, SeenTime, exposure_map

GRID = MapGrid.of(83.2, -5.4, 20.0)
NONE = np.empty(0, np.int64)


def seen(camera="EPN", submode="PrimeFullWindow", pa=30.0, live=None, lost=NONE, share=None):
    every = dict.fromkeys(range(1, CAMERAS[camera].n_ccds + 1), 1000.0)
    share = np.ones(len(lost)) if share is None else share
    return SeenTime(camera, submode, pa, every if live is None else live, lost, share)


@settings(max_examples=portion(6))
@given(
    st.sampled_from(sorted(CAMERAS)),
    st.sampled_from([0.0, 30.0, 211.5]),
    st.integers(1, 7),
    st.integers(0, 2**31),
)
def test_it_is_what_random_directions_say(camera, pa, off, seed):
    """Against light from places of the sky, asked one by one whether a pixel took it."""
    generator, detector = np.random.default_rng(seed), DETECTORS[camera]
    live = {ccd: 100.0 * ccd for ccd in range(1, detector.camera.n_ccds + 1) if ccd != off}
    found = exposure_map(seen(camera, pa=pa, live=live), GRID)
    x, y = generator.uniform(8000, 44_000, (2, 20_000))
    place = detector.detector_from_sky(x, y, pa)
    ccdnr, rawx, rawy = detector.raw_from_detector(*place)
    took = (ccdnr > 0) & detector.in_field(*place)
    took &= read_out(detector.camera, "PrimeFullWindow").reads(ccdnr, rawx, rawy)
    time = np.where(took, [live.get(int(ccd), 0.0) for ccd in ccdnr], 0.0)
    column, row = np.floor(x / GRID.width).astype(int), np.floor(y / GRID.width).astype(int)
    assert found.on[row, column].mean() == pytest.approx(time.mean(), rel=0.02)
    # Away from edges of chips the two agree one by one.
    same = np.isclose(found.on[row, column], time)
    assert same.mean() > 0.85
    light = VIGNETTING[camera].at_nodes(*place)[:, 4] * time
    assert found.band(5)[row, column][same] == pytest.approx(light[same], rel=0.1, abs=1e-9)


def test_lost_pixels_take_their_share():
    """A whole CCD lost for half of the time, each pixel twice in no order."""
    camera = CAMERAS["EPN"]
    x, y = np.meshgrid(np.arange(1, camera.n_columns + 1), np.arange(1, camera.n_rows + 1))
    codes = pixel_codes(np.full(x.size, 4), x.ravel(), y.ravel())[::-1]
    only = {4: 1000.0}
    whole = exposure_map(seen(live=only), GRID).on
    half = exposure_map(seen(live=only, lost=codes, share=np.full(len(codes), 0.5)), GRID).on
    assert half == pytest.approx(whole / 2)
    assert whole.max() == 1000.0
    assert not exposure_map(seen(live=only, lost=codes), GRID).on.any()


def test_windows_leave_the_rest_dark():
    only = {1: 1000.0}
    full, small = (
        exposure_map(seen("EMOS1", submode, live=only), GRID).on.sum()
        for submode in ("PrimeFullWindow", "PrimePartialW2")
    )
    assert small / full == pytest.approx((100 / 600) ** 2, rel=0.05)
    with pytest.raises(ConfigError, match="FastUncompressed"):
        exposure_map(seen("EMOS1", "FastUncompressed"), GRID)


def test_no_time_is_no_exposure():
    found = exposure_map(seen(live={}), GRID)
    assert not found.on.any()
    assert not found.band(1).any()
    assert found.on.shape == (GRID.n, GRID.n)


def test_the_pointing_is_in_the_middle():
    x, y = GRID.projection.to_pixel(83.2, -5.4)
    assert [float(x), float(y)] == pytest.approx([GRID.n / 2 + 0.5] * 2, abs=0.4)


def test_they_are_those_of_source_lists(data_dir):
    paths = sorted((data_dir / "obsmli").glob("*OBSMLI*"))[::5]
    if not paths:
        pytest.skip("there are no source lists among the test data")
    lists = [ratios(path) for path in paths]
    for camera, level in (("EPN", 0.885), ("EMOS1", 0.977), ("EMOS2", 0.978)):
        parts = [one[camera] for one in lists if len(one.get(camera, ())) >= FEWEST]
        # Live times of lists are known as well as their headers say.
        assert np.median(np.concatenate(parts)) == pytest.approx(level, abs=0.02)
        within = np.concatenate([part / np.median(part, axis=0) for part in parts])
        off = np.abs(within - 1)
        assert len(off) > 100
        assert (np.median(off, axis=0) < 0.025).all()
        assert (np.percentile(off, 95, axis=0) < 0.1).all()
