"""Photons around positions, against every distance."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from exod.search.places import photons_near
from exod.sky.plane import TangentPlane

PLANE = TangentPlane(25921, 25921, 120.0, -60.0, -0.05 / 3600, 0.05 / 3600)


@given(st.integers(0, 10_000), st.integers(0, 5), st.floats(1, 90))
def test_photons_near_positions(seed: int, n_places: int, radius: float):
    random = np.random.default_rng(seed)
    x, y = random.integers(20_000, 26_000, (2, 300)).astype(np.int32)
    events = SimpleNamespace(x=x, y=y, plane=PLANE)
    ra, dec = PLANE.to_sky(*random.uniform(20_000, 26_000, (2, n_places)))
    place, photon, dx, dy = photons_near(events, ra, dec, radius)
    expected = []
    for number in range(n_places):
        middle = PLANE.to_pixel(ra[number], dec[number])
        for index in range(len(x)):
            apart = (x[index] - middle[0]) * 0.05, (y[index] - middle[1]) * 0.05
            if np.hypot(*apart) <= radius:
                expected.append((number, index, *apart))
    found = np.column_stack([place, photon, dx, dy])
    np.testing.assert_allclose(found, np.array(expected).reshape(-1, 4), atol=1e-6)
