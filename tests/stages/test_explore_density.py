"""The tiles of the density have the counts where HEALPix puts them."""

from __future__ import annotations

import io

import numpy as np
from astropy import units
from astropy_healpix import HEALPix
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from exod.sky.healpix import sky_pixels
from exod.stages.explore.density import (
    CELLS,
    DENSITY_ORDER,
    LEVELS,
    TILE_ORDER,
    WIDTH,
    Density,
    density_files,
    image,
    tile_path,
)


def gathered(ra: np.ndarray, dec: np.ndarray) -> dict[str, bytes]:
    density = Density()
    for part in np.array_split(sky_pixels(ra, dec, DENSITY_ORDER), 3):
        density.add(part)
    return dict(density_files(density.rows(), "some\nsources", "2026-01-02T03:04Z"))


def pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as opened:
        assert opened.mode == "P"
        assert opened.info["transparency"] in (0, b"\0")
        return np.asarray(opened)


@settings(max_examples=portion(5), deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 3))
def test_tiles_are_direct_counts(seed: int, order: int) -> None:
    random = np.random.default_rng(seed)
    place = np.rad2deg(np.arcsin(random.uniform(-1, 1, 20)))
    ra = np.repeat(random.uniform(0, 360, 20), random.integers(1, 9, 20))
    dec = np.resize(place, len(ra))
    files = gathered(ra, dec)
    sky = HEALPix(2 ** (order + 6), "nested")
    number, counts = np.unique(
        sky.lonlat_to_healpix(ra * units.deg, dec * units.deg), return_counts=True
    )
    seen = {}
    for tile in np.unique(number >> 12):
        found = pixels(files[tile_path(order, int(tile))])
        assert found.shape == (WIDTH, WIDTH)
        step = WIDTH // CELLS
        cells = found[::step, ::step]
        np.testing.assert_array_equal(np.kron(cells, np.ones((step, step), int)), found)
        # The row is x, the bits of even places, as `HEALPix` has it without the library's help.
        for x, y in zip(*np.nonzero(cells), strict=True):
            bits = sum(((int(x) >> k & 1) | (int(y) >> k & 1) << 1) << 2 * k for k in range(6))
            seen[int(tile) << 12 | bits] = int(cells[x, y])
    largest = counts.max()
    scale = (LEVELS - 1) / np.log(largest) if largest > 1 else 0
    assert seen == {
        int(n): int(1 + np.round(scale * np.log(c))) for n, c in zip(number, counts, strict=True)
    }


def test_a_hips_is_whole() -> None:
    files = gathered(np.array([10.0]), np.array([-30.0]))
    assert len(files) == 1 + 1 + sum(12 * 4**order for order in range(TILE_ORDER + 1))
    empty = image(np.zeros((CELLS, CELLS), np.uint8))
    assert sum("Npix" in name and content != empty for name, content in files.items()) == 4
    overview = pixels(files["Norder3/Allsky.png"])
    assert overview.shape == (29 * CELLS, 27 * CELLS)
    tile = sky_pixels([10.0], [-30.0], TILE_ORDER)[0]
    assert np.argwhere(overview).tolist()[0][0] // CELLS == tile // 27
    assert np.argwhere(overview).tolist()[0][1] // CELLS == tile % 27
    about = dict(line.split("=", 1) for line in files["properties"].decode().splitlines())
    about = {name.strip(): value.strip() for name, value in about.items()}
    assert about["hips_order"] == "3"
    assert about["obs_title"] == "Density of sources in some sources"


def test_an_image_has_its_cells() -> None:
    cells = np.random.default_rng(1).integers(0, LEVELS + 1, (4, 6)).astype(np.uint8)
    np.testing.assert_array_equal(pixels(image(cells, 3)), np.kron(cells, np.ones((3, 3), int)))
