"""The read-out of the simulator: pile-up and out-of-time events."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exod.instruments import EPN
from exod.instruments.detector import DETECTORS, read_out
from exod.simulate import ExposureModel, ObservationModel, SourceModel, simulate
from exod.simulate.camera.pileup import MORE_PIXELS, ONE_PIXEL, TWO_PIXELS, pile_up
from exod.simulate.photons import Photons

START = 6.0e8


def photons_at(rows):
    """Photons of rows (ccdnr, rawx, rawy, pi)."""
    ccdnr, rawx, rawy, pi = np.array(rows, np.int64).reshape(-1, 4).T
    return Photons(
        np.arange(len(pi), dtype=float),
        ccdnr.astype(np.uint8),
        rawx.astype(np.int16),
        rawy.astype(np.int16),
        pi.astype(np.int16),
        np.zeros(len(pi), np.int16),
    )


def test_energies_add_up_where_photons_meet():
    rows = [
        (1, 10, 10, 500),
        (1, 10, 10, 700),  # the same pixel
        (1, 30, 10, 400),
        (1, 31, 10, 300),  # beside it
        (2, 50, 50, 600),
        (2, 51, 51, 601),  # by the corner
        (2, 53, 50, 602),  # two columns away
        (3, 10, 10, 900),  # another chip
    ]
    piled = pile_up(photons_at(rows), np.zeros(8, np.int64))
    assert piled.kept.tolist() == [1, 2, 5, 6, 7]
    assert piled.pi.tolist() == [1200, 700, 1201, 602, 900]
    assert piled.spread.tolist() == [ONE_PIXEL, TWO_PIXELS, MORE_PIXELS, ONE_PIXEL, ONE_PIXEL]


def test_other_frames_do_not_pile_up():
    rows = [(1, 600, 10, 500), (1, 600, 10, 700), (1, 1, 10, 400)]
    piled = pile_up(photons_at(rows), np.array([0, 1, 2]))
    assert piled.pi.tolist() == [500, 700, 400]
    assert not piled.spread.any()


def test_nothing_piles_up_to_nothing():
    assert len(pile_up(photons_at([]), np.zeros(0, np.int64)).kept) == 0


pixels = st.tuples(st.integers(1, 2), st.integers(1, 8), st.integers(1, 8), st.integers(200, 900))


@given(st.lists(st.tuples(pixels, st.integers(0, 2)), max_size=40))
def test_pile_up_agrees_with_growing_groups(rows):
    photons = photons_at([row for row, _ in rows])
    frame = np.array([number for _, number in rows], np.int64)
    groups: list[list[int]] = []
    for i in range(len(rows)):
        mine, rest = [i], []
        for group in groups:
            joins = any(
                photons.ccdnr[i] == photons.ccdnr[j]
                and frame[i] == frame[j]
                and abs(int(photons.rawx[i]) - photons.rawx[j]) <= 1
                and abs(int(photons.rawy[i]) - photons.rawy[j]) <= 1
                for j in group
            )
            if joins:
                mine += group
            else:
                rest.append(group)
        groups = [*rest, mine]
    piled = pile_up(photons, frame)
    assert len(piled.kept) == len(groups)
    assert sorted(piled.pi.tolist()) == sorted(int(photons.pi[g].sum()) for g in groups)


def one_source(camera, rate, submode="PrimeFullWindow", n=20_000):
    """The exposure of a source near the axis and far from the rims of chips, no background."""
    centre = {"EPN": (515.0, 3500.0), "EMOS1": (0.0, 0.0)}[camera]
    exposure = ExposureModel(camera, "S001", START, n / rate, submode=submode)
    pointing = ObservationModel("0900000101", 83.2, -5.4, 30.0, (exposure,))
    x, y = DETECTORS[camera].sky_from_detector(*centre, 30.0)
    ra, dec = pointing.plane.to_sky(x, y)
    model = ObservationModel(
        "0900000101",
        83.2,
        -5.4,
        30.0,
        (exposure,),
        sources=(SourceModel("x", float(ra), float(dec), {camera: rate}),),
        background_scale=0.0,
    )
    return simulate(model, seed=4)


@pytest.mark.parametrize(("camera", "limit"), [("EMOS1", 0.5), ("EPN", 2.0)])
def test_loss_at_the_handbook_limit(camera, limit):
    """2.5 per cent of the flux are lost at these rates (UHB table 3; Jethwa et al. 2015)."""
    truth = one_source(camera, limit, n=60_000).truth
    loss = 1 - truth.counts_total[0] / truth.expected_total[0]
    assert 0.005 < loss < 0.035


def test_pile_up_hardens_and_dims():
    faint, bright = (one_source("EMOS1", rate) for rate in (0.1, 5.0))
    median = [np.median(result.event_lists[0].events.pi) for result in (faint, bright)]
    assert median[1] > 1.03 * median[0]
    shares = [r.truth.counts_total[0] / r.truth.expected_total[0] for r in (faint, bright)]
    assert shares[1] < shares[0] - 0.08


@pytest.mark.parametrize(
    ("submode", "share"),
    [
        ("PrimeFullWindow", 0.063),
        ("PrimeFullWindowExtended", 0.023),
        ("PrimeLargeWindow", 0.0016),
    ],
)
def test_out_of_time_events_fill_the_column(submode, share):
    assert read_out(EPN, submode).out_of_time == share
    simulated = one_source("EPN", 0.5, submode, n=50_000).event_lists[0]
    events = simulated.events
    _, _, centre = DETECTORS["EPN"].raw_from_detector([515.0], [3500.0])
    first = 101 if submode == "PrimeLargeWindow" else 13
    low, high = max(first, 20), int(centre[0]) - 50
    if low >= high:
        low, high = first, int(centre[0]) - 25
    far = (events.rawy >= low) & (events.rawy < high)
    column = events.rawx[far]
    expected = share * (high - low) / 200
    n = 50_000 * expected
    found = np.count_nonzero(np.abs(column.astype(int) - np.median(events.rawx)) <= 20)
    wings = 50_000 * 0.004  # of the PSF
    assert n - 5 * np.sqrt(n) - 1 < found < n + 5 * np.sqrt(n) + wings
