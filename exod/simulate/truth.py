"""What a simulation put in: truth table, hot pixels, and the source list a pipeline would give."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from exod.instruments import CAMERAS
from exod.instruments.detector import DETECTORS
from exod.instruments.epic import IMAGE_PIXEL_ARCSEC
from exod.schemas.arrays import Floats, Integers
from exod.simulate.background import PARTICLE_RATE, SKY_RATE
from exod.simulate.models import ExposureModel, ObservationModel, SourceModel

_APERTURE_ARCSEC, _APERTURE_SHARE = 20.0, 0.75
"""Aperture of the approximate detection likelihood and its share of the PSF (King profiles)."""

_MIN_DET_ML = 6.0
"""Detection limit of the pipeline's source lists."""


def truth_table(observation: ObservationModel, counts: Integers) -> pd.DataFrame:
    """One row a source.

    Parameters
    ----------
    observation : ObservationModel
        The settings.
    counts : ndarray of int64, shape (n_exposures, n_sources)
        Simulated events within 0.2-12 keV whose PATTERN and FLAG are accepted.

    Returns
    -------
    pandas.DataFrame
        ``name``, ``kind`` (burst, eclipse, constant), ``ra_deg``, ``dec_deg``; ``t_start`` and
        ``t_stop`` of the event in mission elapsed seconds (of the observation for a constant
        source); by camera ``expected_<INSTRUME>``, the expected good events over all exposures
        with vignetting but without losses between chips, and ``counts_<INSTRUME>``, the simulated
        ones; ``expected_total`` and ``counts_total``.
    """
    first = min(exposure.start for exposure in observation.exposures)
    last = max(exposure.stop for exposure in observation.exposures)
    rows = []
    for i, source in enumerate(observation.sources):
        start, stop = source.light_curve.interval
        row: dict[str, object] = {
            "name": source.name,
            "kind": source.light_curve.kind,
            "ra_deg": source.ra_deg,
            "dec_deg": source.dec_deg,
            "t_start": start if np.isfinite(start) else first,
            "t_stop": stop if np.isfinite(stop) else last,
        }
        expected = dict.fromkeys(CAMERAS, 0.0)
        simulated = dict.fromkeys(CAMERAS, 0)
        for j, exposure in enumerate(observation.exposures):
            expected[exposure.instrument] += expected_counts(observation, source, exposure)
            simulated[exposure.instrument] += int(counts[j, i])
        row |= {f"expected_{camera}": value for camera, value in expected.items()}
        row |= {f"counts_{camera}": value for camera, value in simulated.items()}
        row["expected_total"] = sum(expected.values())
        row["counts_total"] = sum(simulated.values())
        rows.append(row)
    columns = ["name", "kind", "ra_deg", "dec_deg", "t_start", "t_stop"]
    columns += [f"{what}_{camera}" for what in ("expected", "counts") for camera in CAMERAS]
    return pd.DataFrame(rows, columns=[*columns, "expected_total", "counts_total"])


def expected_counts(
    observation: ObservationModel, source: SourceModel, exposure: ExposureModel
) -> float:
    """Good events expected of a source in an exposure, with vignetting."""
    rate = source.rate.get(exposure.instrument, 0.0) * observation.area(source, exposure)
    return rate * source.light_curve.integral(exposure.start, exposure.stop)


def hot_pixel_table(
    exposures: Sequence[ExposureModel], times: Sequence[Sequence[Floats]]
) -> pd.DataFrame:
    """One row a bad pixel and episode (an always-on pixel has one row).

    Parameters
    ----------
    exposures : sequence of ExposureModel
        The settings.
    times : sequence of sequence of ndarray of float64
        Times of the events of each bad pixel, by exposure and pixel.

    Returns
    -------
    pandas.DataFrame
        ``instrument``, ``expid``, ``ccdnr``, ``rawx``, ``rawy``, ``in_field`` (pixels outside the
        field of view are flagged, and MOS selections drop them), ``kind`` (hot, flickering),
        ``t_start``, ``t_stop`` in mission elapsed seconds, ``rate`` in counts per second before
        the limit of one event a frame, and ``counts``, the simulated events up to one frame
        beside the episode.
    """
    columns = ["instrument", "expid", "ccdnr", "rawx", "rawy", "in_field", "kind"]
    columns += ["t_start", "t_stop", "rate", "counts"]
    rows = []
    for exposure, pixel_times in zip(exposures, times, strict=True):
        detector = DETECTORS[exposure.instrument]
        frame = detector.camera.frame_time
        for pixel, time in zip(exposure.hot_pixels, pixel_times, strict=True):
            kind = "flickering" if pixel.episodes else "hot"
            number = (pixel.ccdnr, pixel.rawx, pixel.rawy)
            in_field = bool(detector.in_field(*detector.detector_from_raw(*number)))
            place = (exposure.instrument, exposure.expid, *number, in_field)
            for start, stop in pixel.episodes or ((exposure.start, exposure.stop),):
                n = np.count_nonzero((time >= start - frame) & (time <= stop + frame))
                rows.append((*place, kind, start, stop, pixel.rate, n))
    return pd.DataFrame(rows, columns=columns)


def source_list(observation: ObservationModel, generator: np.random.Generator) -> pd.DataFrame:
    """Sources that the pipeline would have found in the whole exposures; no pure bursts.

    Returns
    -------
    pandas.DataFrame
        Columns of an OBSMLI file: ``SRC_NUM``, ``RA``, ``DEC`` (degrees, with a random error),
        ``RADEC_ERR`` (arcsec), ``EP_DET_ML``, ``EP_EXTENT`` (4 arcsec image pixels), ``EP_TOT``
        (on-axis counts per second of all cameras), brightest first.
    """
    rows = []
    for source in observation.sources:
        if source.light_curve.kind == "burst":
            continue
        counts, background = _aperture_counts(observation, source)
        if counts <= 0:
            continue
        background = max(background, 1e-3)
        likelihood = (counts + background) * np.log1p(counts / background) - counts
        if likelihood < _MIN_DET_ML:
            continue
        error = float(np.hypot(0.3, 6 / np.sqrt(counts)))
        shift = generator.normal(0, error / np.sqrt(2), 2) / 3600
        ra = (source.ra_deg + shift[0] / np.cos(np.deg2rad(source.dec_deg))) % 360
        total = sum(source.rate.get(c, 0) for c in {e.instrument for e in observation.exposures})
        extent = source.extent_arcsec / IMAGE_PIXEL_ARCSEC
        rows.append((ra, source.dec_deg + shift[1], error, likelihood, extent, total))
    rows.sort(key=lambda row: -row[3])
    columns = ["RA", "DEC", "RADEC_ERR", "EP_DET_ML", "EP_EXTENT", "EP_TOT"]
    table = pd.DataFrame(rows, columns=columns, dtype=float)
    table.insert(0, "SRC_NUM", np.arange(1, len(table) + 1))
    return table


def listed_sources(source_list: pd.DataFrame) -> pd.DataFrame:
    """The rows of a source list as reading its file gives them (`exod.pps.read_source_list`)."""
    return pd.DataFrame(
        {
            "ra_deg": source_list["RA"],
            "dec_deg": source_list["DEC"],
            "det_ml": source_list["EP_DET_ML"],
            "extent_arcsec": source_list["EP_EXTENT"] * IMAGE_PIXEL_ARCSEC,
            "rate": source_list["EP_TOT"],
        }
    )


def _aperture_counts(observation: ObservationModel, source: SourceModel) -> tuple[float, float]:
    """Expected source and background counts within 20 arcsec, all exposures together."""
    counts = background = 0.0
    for exposure in observation.exposures:
        detector = DETECTORS[exposure.instrument]
        counts += _APERTURE_SHARE * expected_counts(observation, source, exposure)
        rate = PARTICLE_RATE[exposure.instrument] + SKY_RATE[exposure.instrument]
        pixel_area = detector.camera.pixel_arcsec**2
        share = np.pi * _APERTURE_ARCSEC**2 / (pixel_area * detector.field_pixels)
        background += observation.background_scale * rate * exposure.duration * share
    return counts, background
