"""Images of CCDs, counted event by event."""

import numpy as np
import pytest
from helpers.strategies import make_events, seeds
from hypothesis import given
from hypothesis import strategies as st

from exod.instruments import CAMERAS
from exod.observation.detectorimages import ccd_images


@pytest.mark.parametrize("name", ["EPN", "EMOS1"])
@given(seeds, st.integers(0, 200))
def test_pixels(name, seed, n):
    camera, generator = CAMERAS[name], np.random.default_rng(seed)
    columns = {
        "ccdnr": generator.integers(1, camera.n_ccds + 1, n),
        "rawx": generator.integers(0, camera.n_columns + 3, n),
        "rawy": generator.integers(0, camera.n_rows + 3, n),
    }
    images = ccd_images(make_events(np.arange(float(n)), **columns), camera)
    assert list(images) == list(range(1, camera.n_ccds + 1))
    expected = {number: {} for number in images}
    for ccd, x, y in zip(*columns.values(), strict=True):
        if 1 <= x <= camera.n_columns and 1 <= y <= camera.n_rows:
            place = (int(y) - 1, int(x) - 1)
            expected[int(ccd)][place] = expected[int(ccd)].get(place, 0) + 1
    for number, image in images.items():
        assert image.shape == (camera.n_rows, camera.n_columns)
        filled = {(int(y), int(x)): int(image[y, x]) for y, x in np.argwhere(image)}
        assert filled == expected[number]
