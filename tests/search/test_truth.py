"""What is put into simulated observations is found, where it was put."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord

from exod.config import Config
from exod.pps import find_observations
from exod.simulate import simulate
from exod.simulate.lights.lightmodels import BoxBurst
from exod.simulate.models import ObservationModel, SourceModel
from exod.simulate.scenario import default_observation
from exod.stages.detect.observation import detect_observation
from exod.stages.inputs.simulate import write_observation

# Counts at which the published efficiency is 100 % (Khan et al. 2025), and a suitable duration.
SUITED = {5: (3.0, 30), 50: (30.0, 48), 200: (120.0, 70)}
SHARES = {"EPN": 0.5, "EMOS1": 0.25, "EMOS2": 0.25}


APART = 90.0  # arcsec; closer bursts share cells and become one region


def bursts(generator: np.random.Generator, model: ObservationModel) -> list[SourceModel]:
    """Four bursts for each time bin, anywhere within 10 arcmin of the axis, not in one place."""
    start = max(exposure.start for exposure in model.exposures)
    stop = min(exposure.stop for exposure in model.exposures)
    centre = SkyCoord(model.ra_pnt, model.dec_pnt, unit=u.deg)
    made: list[SourceModel] = []
    places: list[SkyCoord] = []
    for t_bin, (duration, counts) in SUITED.items():
        for number in range(4):
            while True:
                angle = generator.uniform(0, 360) * u.deg
                radius = 10 * np.sqrt(generator.uniform()) * u.arcmin
                place = centre.directional_offset_by(angle, radius)
                if all(place.separation(other).arcsec > APART for other in places):
                    break
            places.append(place)
            begin = generator.uniform(start + 200, stop - 400)
            wanted = 1.9 * counts  # gaps and vignetting take a part
            made.append(
                SourceModel.burst(
                    f"t{t_bin}-{number}",
                    float(place.ra.deg),
                    float(place.dec.deg),
                    {camera: share * wanted for camera, share in SHARES.items()},
                    BoxBurst(begin, duration),
                )
            )
    return made


@pytest.fixture(scope="module")
def searched(tmp_path_factory) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Truth and regions of several simulated pn + MOS observations in quiet background."""
    truths, regions = [], []
    folder = tmp_path_factory.mktemp("truth")
    for seed in range(3):
        obsid = f"09000003{seed:02d}"
        quiet = {"n_bursts": 0, "n_eclipses": 0, "n_flares": 0}
        model = default_observation(obsid, seed, duration=8000.0, **quiet)
        extra = bursts(np.random.default_rng(seed), model)
        observation = simulate(replace(model, sources=(*model.sources, *extra)), seed)
        write_observation(observation, folder)
        tables = detect_observation(find_observations([folder / obsid])[0][0], Config())
        truths.append(observation.truth.assign(obsid=obsid))
        regions.append(tables.regions)
    return pd.concat(truths, ignore_index=True), pd.concat(regions, ignore_index=True)


def offsets(signal: pd.Series, regions: pd.DataFrame) -> np.ndarray:
    place = SkyCoord(signal["ra_deg"], signal["dec_deg"], unit=u.deg)
    found = SkyCoord(regions["ra_deg"].to_numpy(), regions["dec_deg"].to_numpy(), unit=u.deg)
    return found.separation(place).arcsec


@pytest.mark.drill
@pytest.mark.slow
def test_every_detectable_burst_is_found_in_the_run_that_suits_it(searched):
    truth, regions = searched
    tested = 0
    for t_bin, (_, counts) in SUITED.items():
        signals = truth[truth["name"].str.startswith(f"t{t_bin}-")]
        for _, signal in signals[signals["counts_total"] >= counts].iterrows():
            own = regions[(regions["obsid"] == signal["obsid"]) & (regions["t_bin"] == t_bin)]
            assert (offsets(signal, own) < 20).any(), signal.to_dict()
            tested += 1
    assert tested >= 24


@pytest.mark.slow
def test_positions_agree_with_their_errors(searched):
    truth, regions = searched
    signals = truth[truth["kind"] != "constant"]
    ratios = []
    for _, region in regions.iterrows():
        own = signals[signals["obsid"] == region["obsid"]]
        place = SkyCoord(own["ra_deg"].to_numpy(), own["dec_deg"].to_numpy(), unit=u.deg)
        here = SkyCoord(region["ra_deg"], region["dec_deg"], unit=u.deg)
        offset = place.separation(here).arcsec.min()
        if offset < 30:
            ratios.append(offset / region["pos_err_arcsec"])
    assert len(ratios) > 100
    assert np.mean(np.array(ratios) < 3) >= 0.99


@pytest.mark.slow
def test_no_region_is_a_hot_pixel(searched):
    truth, regions = searched
    signals = truth[truth["kind"] != "constant"]
    strays = 0
    for _, region in regions.iterrows():
        own = signals[signals["obsid"] == region["obsid"]]
        strays += not any(offsets(s, region.to_frame().T).min() < 60 for _, s in own.iterrows())
    # Background fluctuations pass 3 sigma about once in an observation; hot pixels would be many.
    assert strays <= 3


def test_data_are_written_where_they_are_looked_for(tmp_path: Path):
    model = default_observation("0900000399", 1, duration=2500.0, cameras=("EMOS1",))
    write_observation(simulate(model, 1), tmp_path)
    (files,), problems = find_observations([tmp_path])
    assert files.obsid == "0900000399"
    assert not problems
    assert [path.name for path in files.event_lists] == ["P0900000399M1S001MIEVLI0000.FTZ"]
    assert len(files.source_lists) == 1
