"""A typical observation, drawn at random: what the demo, the tests and the benchmarks simulate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from exod.errors import ConfigError
from exod.instruments import CAMERAS
from exod.observation.commonsky import sky_plane
from exod.observation.identifiers import validate_xmm_obsid
from exod.simulate.lights.lightmodels import (
    BoxBurst,
    Eclipse,
    FastRiseBurst,
    GaussianBurst,
    LightModel,
    SoftProtonFlare,
)
from exod.simulate.models import (
    REVOLUTION_SECONDS,
    REVOLUTION_ZERO,
    TYPICAL_RATES,
    DropOut,
    ExposureModel,
    HotPixel,
    ObservationModel,
    SourceModel,
    require,
)
from exod.simulate.weather import BACKGROUNDS, Background, flaring, outlines, with_structure

EXPIDS = {"EMOS1": "S001", "EMOS2": "S002", "EPN": "S003"}
"""The usual identifiers of the first exposures."""

_START_DELAY = {"EMOS1": 0.0, "EMOS2": 5.0, "EPN": 1400.0}
"""pn starts later, since it takes its offset map first; seconds, typical of event lists."""

_BURST_COUNTS = (30.0, 100.0)
_BURST_SECONDS = (3.0, 150.0)
_DROPOUT_SECONDS = (10.0, 400.0)
_SEPARATION_ARCSEC = 90.0
_MARGIN_ARCSEC = 20.0
"""Random sources keep this distance from each other and from the rims of chips."""


def default_observation(
    obsid: str,
    seed: int,
    duration: float = 20_000.0,
    cameras: Sequence[str] = ("EPN", "EMOS1", "EMOS2"),
    n_sources: int = 12,
    n_bursts: int = 3,
    n_eclipses: int = 1,
    n_flares: int = 1,
    n_hot_pixels: int = 4,
    n_dropouts: int = 0,
    pa_pnt: float = 93.66,
    background_scale: float = 1.0,
    background: Background = "quiet",
    n_exposures: int = 1,
    n_short_dropouts: int = 0,
) -> ObservationModel:
    """A realistic observation; the same arguments give the same observation.

    Parameters
    ----------
    obsid : str
        Ten digits.
    seed : int
        Seed of the random choices, at least 0.
    duration : float
        From the start of the first to the end of the last MOS exposure in seconds, at least 2000
        for each exposure of a camera.
    cameras : sequence of str
        INSTRUME of the cameras; every one at most once.
    n_sources : int
        Constant point sources, with fluxes as in a log N - log S of slope -1.5.
    n_bursts : int
        Bursts of 30-100 expected counts over all cameras within 3-150 s, of all shapes.
    n_eclipses : int
        Eclipses of further, bright sources.
    n_flares : int
        Single soft-proton flares, strong enough for bad time intervals; bursts and eclipses keep
        away from them.
    n_hot_pixels : int
        Bad pixels in each exposure; every second one flickers. Many more and stronger ones than
        the pipeline leaves: the search finds none and one in the MOS lists of 0001730201.
    n_dropouts : int
        Drop-outs of a pn quadrant.
    pa_pnt, background_scale : float
        See `ObservationModel`.
    background : {"quiet", "flaring"}
        ``flaring`` adds the flares of `exod.simulate.weather.flaring`, also to bursts.
    n_exposures : int
        Exposures of each camera, 1 to 9: S001 ..., then U002 ... after gaps of 5 per cent of the
        duration (at most 2000 s).
    n_short_dropouts : int
        Drop-outs of each exposure, see `short_dropouts`.

    Raises
    ------
    ConfigError
        If a setting is impossible; the text names it.
    """
    _check_settings(cameras, duration / max(n_exposures, 1), seed)
    if background not in BACKGROUNDS:
        raise ConfigError(f"Unknown background {background!r}; use {' or '.join(BACKGROUNDS)}.")
    require("n_exposures", n_exposures, 1, 9)
    counts = {"sources": n_sources, "bursts": n_bursts, "eclipses": n_eclipses, "flares": n_flares}
    counts |= {"hot_pixels": n_hot_pixels, "dropouts": n_dropouts}
    counts["short_dropouts"] = n_short_dropouts
    for name, number in counts.items():
        require(f"n_{name}", number, 0, 500)
    generator = np.random.default_rng([int(validate_xmm_obsid(obsid)), seed])
    revolution = int(generator.integers(300, 4300))
    ra = round(float(generator.uniform(0, 360)), 6)
    dec = round(float(generator.uniform(-70, 70)), 6)
    start = float(np.round(REVOLUTION_ZERO + (revolution + 0.3) * REVOLUTION_SECONDS, 3))
    flares = outlines(generator, start, duration, n_flares)
    rounds = _rounds(start, duration, n_exposures)
    exposures: list[ExposureModel] = []
    for camera in cameras:
        exposures += _exposures(
            generator, camera, rounds, n_hot_pixels, n_dropouts if camera == "EPN" else 0
        )
    pointing = ObservationModel(obsid, ra, dec, pa_pnt, tuple(exposures))
    sources = _random_sources(generator, pointing, flares, n_sources, n_bursts, n_eclipses)
    # A stream of its own, so that sources are the same in any weather.
    weather = np.random.default_rng([int(obsid), seed, 1])
    pulses = [pulse for flare in flares for pulse in with_structure(weather, flare)]
    if background == "flaring":
        pulses += flaring(weather, start, duration)
    # So are drop-outs.
    stops = np.random.default_rng([int(obsid), seed, 2])
    dropped = tuple(
        replace(model, dropouts=model.dropouts + short_dropouts(stops, model, n_short_dropouts))
        for model in pointing.exposures
    )
    return replace(
        pointing,
        exposures=dropped,
        sources=sources,
        flares=tuple(pulses),
        background_scale=background_scale,
        revolution=revolution,
    )


def _rounds(start: float, duration: float, n: int) -> list[tuple[float, float]]:
    """Start and length of the first, second, ... exposures."""
    gap = min(2000.0, 0.05 * duration)
    length = (duration - (n - 1) * gap) / n
    return [(start + i * (length + gap), length) for i in range(n)]


def _exposures(
    generator: np.random.Generator,
    camera: str,
    rounds: list[tuple[float, float]],
    n_hot_pixels: int,
    n_dropouts: int,
) -> list[ExposureModel]:
    """The exposures of a camera; pixels that are always hot are so in all of them."""
    exposures: list[ExposureModel] = []
    for i, (start, length) in enumerate(rounds):
        delay = min(_START_DELAY[camera], 0.1 * length)
        expid = f"U{i + 1:03d}" if i else EXPIDS[camera]
        model = ExposureModel(camera, expid, start + delay, length - delay)
        pixels = random_hot_pixels(generator, model, n_hot_pixels)
        if i:
            always = [pixel for pixel in exposures[0].hot_pixels if not pixel.episodes]
            pixels = (*always, *(pixel for pixel in pixels if pixel.episodes))
        drops = _random_dropouts(generator, model, n_dropouts)
        exposures.append(replace(model, hot_pixels=pixels, dropouts=drops))
    return exposures


def _check_settings(cameras: Sequence[str], duration: float, seed: int) -> None:
    if seed < 0:
        raise ConfigError(f"seed is {seed}; it must not be negative.")
    if not 2000 <= duration <= 1e6:
        raise ConfigError(
            f"duration is {duration:g} for each exposure; it must be between 2000 and 1e6 seconds."
        )
    for camera in cameras:
        if camera not in CAMERAS:
            raise ConfigError(f"Unknown camera {camera!r}; use {', '.join(CAMERAS)}.")


def random_hot_pixels(
    generator: np.random.Generator, exposure: ExposureModel, n: int
) -> tuple[HotPixel, ...]:
    """Bad pixels anywhere on the chips: always on at 0.01-0.1 counts/s, or flickering.

    A flickering pixel is on two to five times for 10-100 s, with an event in about every second
    frame (at most 4 a second).
    """
    camera = CAMERAS[exposure.instrument]
    pixels = []
    for i in range(n):
        ccdnr = int(generator.integers(1, camera.n_ccds + 1))
        rawx = int(generator.integers(1, camera.n_columns + 1))
        rawy = int(generator.integers(camera.first_row, camera.n_rows + 1))
        if i % 2 == 0:
            rate = float(np.exp(generator.uniform(np.log(0.01), np.log(0.1))))
            pixels.append(HotPixel(ccdnr, rawx, rawy, rate))
            continue
        episodes = []
        for _ in range(int(generator.integers(2, 6))):
            length = generator.uniform(10, 100)
            begin = exposure.start + generator.uniform(0, exposure.duration - length)
            episodes.append((float(begin), float(begin + length)))
        rate = min(4.0, 0.7 / camera.frame_time)
        pixels.append(HotPixel(ccdnr, rawx, rawy, rate, tuple(sorted(episodes))))
    return tuple(pixels)


def _random_dropouts(
    generator: np.random.Generator, exposure: ExposureModel, n: int
) -> tuple[DropOut, ...]:
    dropouts = []
    for _ in range(n):
        length = exposure.duration * generator.uniform(0.02, 0.05)
        begin = exposure.start + generator.uniform(0, exposure.duration - length)
        dropouts.append(DropOut.quadrant(int(generator.integers(0, 4)), begin, begin + length))
    return tuple(dropouts)


def short_dropouts(
    generator: np.random.Generator, exposure: ExposureModel, n: int
) -> tuple[DropOut, ...]:
    """Drop-outs of 10-400 s (even in the logarithm) anywhere, every second one recorded.

    Of a single CCD, of a quadrant of pn or of the whole camera, in turn at random.
    """
    camera = CAMERAS[exposure.instrument]
    kinds = [(tuple(range(1, camera.n_ccds + 1)),), *([camera.dropout_groups] * camera.is_pn)]
    kinds.append(tuple((ccdnr,) for ccdnr in range(1, camera.n_ccds + 1)))
    dropouts = []
    for i in range(n):
        units = kinds[int(generator.integers(len(kinds)))]
        ccds = units[int(generator.integers(len(units)))]
        length = float(np.exp(generator.uniform(*np.log(_DROPOUT_SECONDS))))
        begin = exposure.start + float(generator.uniform(0, exposure.duration - length))
        dropouts.append(DropOut(ccds, begin, begin + length, recorded=i % 2 == 0))
    return tuple(dropouts)


def _random_sources(
    generator: np.random.Generator,
    pointing: ObservationModel,
    flares: tuple[SoftProtonFlare, ...],
    n_sources: int,
    n_bursts: int,
    n_eclipses: int,
) -> tuple[SourceModel, ...]:
    cameras = [exposure.instrument for exposure in pointing.exposures]
    total = sum(TYPICAL_RATES[camera] for camera in cameras)
    positions = _random_positions(generator, pointing, n_sources + n_bursts + n_eclipses)
    sources = []
    for i in range(n_sources):
        pn_rate = min(0.004 * generator.uniform() ** (-1 / 1.5), 0.4)
        sources.append(_source(f"constant-{i + 1}", positions.pop(), cameras, pn_rate))
    for i in range(n_eclipses):
        length = min(generator.uniform(400, 1200), 0.12 * pointing.exposures[0].duration)
        curve: LightModel = Eclipse(_quiet_time(generator, pointing, flares, length), length)
        name, rate = f"eclipse-{i + 1}", generator.uniform(0.8, 1.2) / total
        sources.append(_source(name, positions.pop(), cameras, rate, curve))
    for i in range(n_bursts):
        length = float(np.exp(generator.uniform(*np.log(_BURST_SECONDS))))
        begin = _quiet_time(generator, pointing, flares, length)
        shapes = (
            BoxBurst(begin, length),
            GaussianBurst(begin + length / 2, length / 4),
            FastRiseBurst(begin, length / 10, length / 4),
        )
        curve, counts = shapes[i % len(shapes)], generator.uniform(*_BURST_COUNTS)
        rate = counts / total / curve.integral(begin - 1e5, begin + 1e5)
        sources.append(_source(f"burst-{i + 1}", positions.pop(), cameras, rate, curve))
    return tuple(_brighten(pointing, source) for source in sources)


def _source(
    name: str,
    position: tuple[float, float],
    cameras: Sequence[str],
    pn_rate: float,
    curve: LightModel | None = None,
) -> SourceModel:
    rates = {camera: TYPICAL_RATES[camera] * pn_rate for camera in cameras}
    if curve is None:
        return SourceModel(name, *position, rates)
    return SourceModel(name, *position, rates, curve)


def _brighten(pointing: ObservationModel, source: SourceModel) -> SourceModel:
    """The source with the vignetting of its place compensated, for bursts and eclipses."""
    if source.light_curve.kind == "constant":
        return source
    area = np.mean([pointing.area(source, exposure) for exposure in pointing.exposures])
    return replace(source, rate={camera: float(r / area) for camera, r in source.rate.items()})


def _quiet_time(
    generator: np.random.Generator,
    pointing: ObservationModel,
    flares: tuple[SoftProtonFlare, ...],
    length: float,
) -> float:
    """Start of an interval in all exposures and away from flares and drop-outs."""
    windows = _common_windows(pointing)
    low, high = windows[0][0], windows[-1][1]
    busy = [flare.interval for flare in flares]
    busy += [(windows[i][1], windows[i + 1][0]) for i in range(len(windows) - 1)]
    busy += [(d.start, d.stop) for exposure in pointing.exposures for d in exposure.dropouts]
    margin = 0.02 * (high - low)
    for _ in range(10_000):
        begin = float(generator.uniform(low + margin, max(high - length - margin, low + margin)))
        if all(begin + length < start - margin or begin > stop + margin for start, stop in busy):
            return begin
    raise ConfigError("There is no quiet time left for bursts: use fewer flares or drop-outs.")


def _common_windows(pointing: ObservationModel) -> list[tuple[float, float]]:
    """Start and stop of the time when all cameras are in their first, second, ... exposure."""
    cameras: dict[str, list[ExposureModel]] = {}
    for exposure in pointing.exposures:
        cameras.setdefault(exposure.instrument, []).append(exposure)
    rounds = zip(*cameras.values(), strict=True)
    return [(max(e.start for e in same), min(e.stop for e in same)) for same in rounds]


def _random_positions(
    generator: np.random.Generator, pointing: ObservationModel, n: int
) -> list[tuple[float, float]]:
    """RA and Dec of `n` places within 11 arcmin of the pointing, on chips of all cameras."""
    plane = sky_plane(pointing.ra_pnt, pointing.dec_pnt)
    angles = np.linspace(0, 2 * np.pi, 17)
    radii = np.where(angles < 2 * np.pi, _MARGIN_ARCSEC * 20, 0.0)
    places: list[tuple[float, float]] = []
    for _ in range(1000 * (n + 1)):
        if len(places) == n:
            break
        radius, angle = 11 * np.sqrt(generator.random()), 2 * np.pi * generator.random()
        x = 25921 + 1200 * radius * np.cos(angle)
        y = 25921 + 1200 * radius * np.sin(angle)
        far = all(np.hypot(x - u, y - v) > _SEPARATION_ARCSEC * 20 for u, v in places)
        # The middle, too, and only rows that are sent to ground.
        x_around, y_around = x + radii * np.cos(angles), y + radii * np.sin(angles)
        if far and pointing.on_chips(x_around, y_around, sent=True):
            places.append((x, y))
    if len(places) < n:
        raise ConfigError(f"The field has no room for {n} sources 90 arcsec apart.")
    return [(float(ra), float(dec)) for ra, dec in (plane.to_sky(x, y) for x, y in places)]
