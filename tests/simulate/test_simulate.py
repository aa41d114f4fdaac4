"""The simulator: rates, PSF, defects, truth, and the files it writes."""

from dataclasses import fields, replace

import numpy as np
import pytest
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.errors import ConfigError, ExodError
from exod.instruments import CAMERAS, EMOS1, EPN
from exod.instruments.detector import DETECTORS, read_out
from exod.instruments.pointspread import POINT_SPREADS
from exod.simulate import (
    BoxBurst,
    DropOut,
    ExposureModel,
    HotPixel,
    ObservationModel,
    SoftProtonFlare,
    SourceModel,
    default_observation,
    simulate,
)
from exod.simulate.camera.readout import acceptance
from exod.simulate.camera.spectra import lognormal_quantile
from exod.simulate.photons import ORIGIN_HOT_PIXEL, ORIGIN_PARTICLE

OBSID = "0900000101"
START = 6.0e8
RA, DEC = 83.2, -5.4


def observation_with(*exposures, pa_pnt=30.0, **settings):
    return ObservationModel(OBSID, RA, DEC, pa_pnt, exposures, **settings)


@pytest.fixture(scope="module")
def quiet():
    """All cameras, background only, long enough for rates good to two per cent."""
    exposures = [
        ExposureModel(camera, f"S00{i}", START + 40 * i, 9000.0)
        for i, camera in enumerate(("EPN", "EMOS1", "EMOS2"))
    ]
    return simulate(observation_with(*exposures), seed=1)


@pytest.fixture(scope="module")
def typical():
    """The default observation, shorter, with a drop-out."""
    return simulate(default_observation(OBSID, 3, duration=8000.0, n_dropouts=1), seed=3)


# --- background and events -------------------------------------------------------------------


def test_quiet_rates(quiet):
    for simulated in quiet.event_lists:
        hard = simulated.good & (simulated.events.pi > 10_000)
        rate, hard_rate = simulated.good.sum() / 9000, hard.sum() / 9000
        if simulated.exposure.instrument == "EPN":
            assert 6 < rate < 8
            assert 0.2 < hard_rate < 0.4
        else:
            assert 2.0 < rate < 2.5
            assert 0.07 < hard_rate < 0.12, "0.09 in quiet time of 0001730201"


def test_flares_are_seen_above_10_kev():
    flare = SoftProtonFlare(START + 1000, 800, 30.0)
    exposures = [ExposureModel(c, "S001", START, 3000) for c in ("EPN", "EMOS1")]
    result = simulate(observation_with(*exposures, flares=(flare,)), seed=2)
    for simulated in result.event_lists:
        hard = simulated.good & (simulated.events.pi > 10_000)
        counts, _ = np.histogram(simulated.events.time[hard], START + np.arange(0, 3001, 100))
        assert (counts[11:17] / 100 > 1.5).all()
        assert (counts[:9] / 100 < 0.8).all()
        assert (counts[20:] / 100 < 0.8).all()


def test_sky_is_vignetted_and_particles_are_not(quiet):
    simulated = quiet.event_lists[1]
    detector = DETECTORS["EMOS1"]
    angle = detector.off_axis_arcmin(simulated.detx, simulated.dety)
    particles = simulated.origin == ORIGIN_PARTICLE
    inner, outer = angle < 5, (angle > 9) & (angle < 12)
    inner_share = (particles & inner).sum() / (simulated.good & inner).sum()
    outer_share = (particles & outer).sum() / (simulated.good & outer).sum()
    assert outer_share > 1.2 * inner_share


def test_patterns_and_flags(quiet):
    for simulated in quiet.event_lists:
        events, camera = simulated.events, simulated.exposure.camera
        high = (events.pattern > camera.max_pattern).mean()
        assert 0.001 < high < 0.08
        inside = DETECTORS[camera.name].in_field(simulated.detx, simulated.dety)
        flagged = (events.flag & 0x10000) != 0
        assert (flagged == ~inside).mean() > 0.9999, "up to the rounding of DETX and DETY"
        rejected = (events.flag & camera.flag_mask) != 0
        harmless = (events.flag != 0) & ~rejected
        assert rejected.mean() > 0.01
        assert harmless.mean() > 0.01
        accepted = (events.pattern <= camera.max_pattern)[inside & (events.pi <= 12000)]
        accepted &= ~rejected[inside & (events.pi <= 12000)]
        assert accepted.mean() == pytest.approx(acceptance(camera), abs=0.01)
        if not camera.is_pn:
            assert (events.flag[events.pi > 12000] & 0x400000).all()


def test_columns_hang_together(typical):
    for simulated, settings_ in zip(typical.event_lists, typical.model.exposures, strict=True):
        events, detector = simulated.events, DETECTORS[settings_.instrument]
        detx, dety = detector.detector_from_raw(events.ccdnr, events.rawx, events.rawy)
        half = detector.pixel / 2 + 0.51
        assert np.abs(detx - simulated.detx).max() <= half
        assert np.abs(dety - simulated.dety).max() <= half
        x, y = detector.sky_from_detector(simulated.detx, simulated.dety, typical.model.pa_pnt)
        assert np.abs(x - events.x).max() < 1.5
        assert np.abs(y - events.y).max() < 1.5
        assert events.time.min() >= settings_.start
        assert events.time.max() <= settings_.stop
        assert simulated.exposure.camera.is_pn == bool(events.rawy.min() >= 13)
        for column in fields(events):
            assert len(getattr(events, column.name)) == len(simulated.detx)


def test_times_are_in_order_of_chip_and_frame():
    exposure = ExposureModel("EMOS1", "S001", START, 2000, randomise_times=False)
    events = simulate(observation_with(exposure), seed=1).event_lists[0].events
    assert (np.diff(events.ccdnr.astype(int)) >= 0).all()
    assert (np.diff(events.time) < 0).sum() == EMOS1.n_ccds - 1
    for ccdnr in range(1, 8):
        time = events.time[events.ccdnr == ccdnr]
        frame = (time - time[0]) / EMOS1.frame_time
        assert np.abs(frame - np.rint(frame)).max() < 1e-6
        assert (np.diff(frame) >= -1e-6).all()
    spread = simulate(observation_with(replace(exposure, randomise_times=True)), seed=1)
    assert (np.diff(spread.event_lists[0].events.time) < 0).sum() > 100


def test_windows_of_a_submode():
    exposure = ExposureModel("EPN", "S001", START, 500, submode="PrimeLargeWindow")
    assert simulate(observation_with(exposure), seed=1).event_lists[0].events.rawy.min() >= 101


# --- sources ---------------------------------------------------------------------------------


@pytest.mark.parametrize("camera", ["EPN", "EMOS1", "EMOS2"])
def test_encircled_fraction_of_the_psf(camera):
    ra, dec = place_on_chip(camera)
    # Faint enough for pile-up to take less than 0.5 per cent.
    source = SourceModel("steady", ra, dec, {camera: 0.5 if camera == "EPN" else 0.1})
    exposure = ExposureModel(camera, "S001", START, 40_000 / source.rate[camera])
    model = observation_with(exposure, sources=(source,), background_scale=0.0)
    result = simulate(model, seed=4)
    events = result.event_lists[0].events.take(result.event_lists[0].good)
    expected = result.truth.expected_total[0]
    x, y = model.plane.to_pixel(ra, dec)
    radius = np.hypot(events.x - x, events.y - y) * 0.05
    detector = DETECTORS[camera]
    off_axis = float(detector.off_axis_arcmin(*detector.detector_from_sky(x, y, 30.0)))
    energies = lognormal_quantile(source.energy_kev, (np.arange(100) + 0.5) / 100)
    in_time = 1 - read_out(CAMERAS[camera], "PrimeFullWindow").out_of_time
    for limit in (5.0, 10.0, 20.0, 60.0):
        share = (radius < limit).sum() / (expected * in_time)
        # Pixels smear the core: by 1.1 arcsec in MOS and 4.1 arcsec in pn.
        smear = 0.06 if camera == "EPN" and limit < 10 else 0.015
        encircled = POINT_SPREADS[camera].encircled(limit, energies, off_axis).mean()
        assert share == pytest.approx(encircled, abs=smear)


def place_on_chip(camera):
    """A place 90 arcsec or more from the rims of chips, near the axis."""
    centre = {"EPN": (515.0, 3500.0), "EMOS1": (0.0, 0.0), "EMOS2": (0.0, 0.0)}[camera]
    x, y = DETECTORS[camera].sky_from_detector(*centre, 30.0)
    ra, dec = observation_with(ExposureModel(camera, "S001", START, 1000)).plane.to_sky(x, y)
    return float(ra), float(dec)


def test_counts_follow_expectation(typical):
    truth = typical.truth
    assert set(truth.kind) == {"constant", "eclipse", "burst"}
    assert len(truth) == 12 + 3 + 1
    bursts = truth[truth.kind == "burst"]
    assert bursts.expected_total.between(28, 105).all()
    assert (bursts.t_stop - bursts.t_start).between(1, 150).all()
    for row in truth.itertuples():
        # King wings, gaps between chips and the first rows of pn lose some of the photons.
        assert row.counts_total < row.expected_total + 5 * np.sqrt(row.expected_total)
        assert row.counts_total > 0.7 * row.expected_total - 5 * np.sqrt(row.expected_total)


def test_burst_by_counts_arrives_in_its_interval():
    ra, dec = place_on_chip("EMOS1")
    burst = SourceModel.burst("b", ra, dec, {"EMOS1": 500}, BoxBurst(START + 700, 800))
    exposure = ExposureModel("EMOS1", "S001", START, 2000)
    result = simulate(observation_with(exposure, sources=(burst,)), seed=1)
    simulated = result.event_lists[0]
    time = simulated.events.time[simulated.origin == 0]
    assert time.min() > START + 700 - 2.6
    assert time.max() < START + 1500 + 2.6
    area = result.model.area(burst, exposure)
    assert result.truth.expected_EMOS1[0] == pytest.approx(500 * area)
    assert result.truth.counts_EMOS1[0] == pytest.approx(500 * area, abs=100)


def test_eclipse_is_dark(typical):
    row = typical.truth[typical.truth.kind == "eclipse"].iloc[0]
    for simulated in typical.event_lists:
        time = simulated.events.time[simulated.origin == row.name]
        inside = (time > row.t_start + 5) & (time < row.t_stop - 5)
        assert not inside.any()
        assert len(time) > 300


def test_source_list_holds_steady_sources_only(typical):
    truth, found = typical.truth, typical.source_list
    steady = truth[truth.kind != "burst"]
    assert 1 <= len(found) <= len(steady)
    assert found.SRC_NUM.tolist() == list(range(1, len(found) + 1))
    assert (found.EP_DET_ML >= 6).all()
    assert (np.diff(found.EP_DET_ML) <= 0).all()
    for row in found.itertuples():
        dx = (steady.ra_deg - row.RA) * np.cos(np.deg2rad(row.DEC)) * 3600
        separation = np.hypot(dx, (steady.dec_deg - row.DEC) * 3600)
        assert separation.min() < 5 * row.RADEC_ERR


# --- defects ---------------------------------------------------------------------------------


def test_quadrant_drop_out_is_empty():
    drop = DropOut.quadrant(2, START + 400, START + 900)
    exposure = ExposureModel("EPN", "S003", START, 1500, dropouts=(drop,))
    events = simulate(observation_with(exposure), seed=1).event_lists[0].events
    inside = (events.time >= START + 400) & (events.time < START + 900)
    missing = np.isin(events.ccdnr, EPN.dropout_groups[2])
    assert not (inside & missing).any()
    assert (inside & ~missing).sum() > 2000
    assert (~inside & missing).sum() > 1000


def test_hot_pixels_are_there_and_in_the_table():
    always = HotPixel(3, 100, 200, 0.2)
    flickering = HotPixel(
        5, 300, 400, 50.0, ((START + 500, START + 600), (START + 900, START + 950))
    )
    exposure = ExposureModel(
        "EMOS2", "S002", START, 2000, hot_pixels=(always, flickering), randomise_times=False
    )
    result = simulate(observation_with(exposure), seed=1)
    simulated = result.event_lists[0]
    events, table = simulated.events, result.hot_pixels
    assert table.kind.tolist() == ["hot", "flickering", "flickering"]
    assert table.in_field.all()
    first = simulated.origin == ORIGIN_HOT_PIXEL
    places = np.stack([events.ccdnr[first], events.rawx[first], events.rawy[first]])
    assert np.unique(places, axis=1).ravel().tolist() == [3, 100, 200]
    assert first.sum() == table.counts[0] == pytest.approx(2000 * 0.2 * 0.78, rel=0.2)
    time = events.time[simulated.origin == ORIGIN_HOT_PIXEL - 1]
    assert np.diff(time).min() > 2.59, "one event a frame"
    assert table.counts[1:].sum() == len(time)
    assert 36 <= table.counts[1] <= 40
    assert 17 <= table.counts[2] <= 21


# --- determinism -----------------------------------------------------------------------------


def bytes_of(result):
    return [
        getattr(simulated.events, column.name).tobytes()
        for simulated in result.event_lists
        for column in fields(simulated.events)
    ]


@settings(max_examples=portion(10), deadline=None)
@given(st.integers(0, 2**40))
def test_same_seed_same_events(seed):
    model = default_observation(OBSID, seed, duration=2000.0, cameras=["EMOS2"], n_bursts=1)
    assert model == default_observation(OBSID, seed, duration=2000.0, cameras=["EMOS2"], n_bursts=1)
    one, two, other = simulate(model, seed), simulate(model, seed), simulate(model, seed + 1)
    assert bytes_of(one) == bytes_of(two) != bytes_of(other)
    assert one.truth.equals(two.truth)
    assert one.source_list.equals(two.source_list)


def test_exposures_have_their_own_random_numbers(quiet):
    alone = replace(quiet.model, exposures=quiet.model.exposures[2:])
    assert bytes_of(simulate(alone, seed=1)) == bytes_of(quiet)[2 * 9 :]


# --- impossible settings ---------------------------------------------------------------------


def test_impossible_settings_are_named():
    exposure = ExposureModel("EPN", "S003", START, 1000)
    with pytest.raises(ConfigError, match=r"Source x: rate in EPN is -1"):
        SourceModel("x", RA, DEC, {"EPN": -1.0})
    with pytest.raises(ConfigError, match=r"Source x: rate in EPN is nan"):
        SourceModel("x", RA, DEC, {"EPN": float("nan")})
    with pytest.raises(ConfigError, match=r"unknown camera 'HRC'"):
        SourceModel("x", RA, DEC, {"HRC": 1.0})
    with pytest.raises(ConfigError, match=r"Source far .* outside the field of view"):
        observation_with(exposure, sources=(SourceModel("far", RA + 1, DEC, {"EPN": 1.0}),))
    with pytest.raises(ConfigError, match=r"Source far .* outside the field of view"):
        observation_with(exposure, sources=(SourceModel("far", RA - 80, -DEC, {"EPN": 1.0}),))
    with pytest.raises(ConfigError, match="same source twice"):
        observation_with(exposure, sources=(SourceModel("x", RA, DEC, {}),) * 2)
    with pytest.raises(ConfigError, match="same exposure twice"):
        observation_with(exposure, exposure)
    with pytest.raises(ConfigError, match="no exposure"):
        observation_with()
    with pytest.raises(ConfigError, match="duration"):
        ExposureModel("EPN", "S003", START, 0)
    with pytest.raises(ConfigError, match="S003 or U002"):
        ExposureModel("EPN", "3", START, 100)
    with pytest.raises(ConfigError, match="hot pixel rawx"):
        ExposureModel("EPN", "S003", START, 100, hot_pixels=(HotPixel(1, 65, 20, 1.0),))
    with pytest.raises(ConfigError, match=r"Hot pixel 1/5/20: an episode from nan to 7 s"):
        HotPixel(1, 5, 20, 1.0, ((float("nan"), 7.0),))
    with pytest.raises(ConfigError, match="pa_pnt is nan"):
        observation_with(exposure, pa_pnt=float("nan"))
    with pytest.raises(ConfigError, match="PrimeSmallWindow"):
        ExposureModel("EPN", "S003", START, 100, submode="PrimeSmallWindow")
    with pytest.raises(ConfigError, match="must be after"):
        DropOut((1,), 10, 5)
    with pytest.raises(ConfigError, match="background_scale"):
        observation_with(exposure, background_scale=-1)
    with pytest.raises(ExodError, match=r"of XMM-Newton; it must be ten digits"):
        default_observation("123", 1)
    with pytest.raises(ConfigError, match="n_bursts"):
        default_observation(OBSID, 1, n_bursts=-1)
    with pytest.raises(ConfigError, match="seed"):
        default_observation(OBSID, -1)
    with pytest.raises(ConfigError, match="seed"):
        simulate(observation_with(exposure), seed=-1)
