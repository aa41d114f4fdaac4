"""Soft-proton flares of an observation: single ones, or a flaring background.

Observation 0001730201 is the measure: out of quiet time at 1.9 counts per second (MOS, field of
view without sources), flares rise within one to a few hundred seconds, decay in one to a few
thousand, overlap, and vary by a factor of two from one 100 s to the next.
"""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from exod.simulate.lights.lightmodels import SoftProtonFlare

Background = Literal["quiet", "flaring"]
BACKGROUNDS: Final = ("quiet", "flaring")

_SPACING = 1600.0
_LENGTH, _LENGTH_WIDTH = 1500.0, 0.8
_PEAK, _PEAK_WIDTH = 4.5, 0.6
"""Flaring background: mean seconds from one flare to the next; median and width (natural
logarithm) of the lengths in seconds and of the peaks in MOS counts per second. Chosen so that
rates are distributed as in 0001730201, see docs/simulator.md."""

_PEAKS = (8.0, 35.0)
"""Peaks of single flares, MOS counts per second, even in the logarithm; FBKTSR of 0001730201
reaches 13 in MOS and 59 in pn."""

Flares = tuple[SoftProtonFlare, ...]


def outlines(generator: np.random.Generator, start: float, duration: float, n: int) -> Flares:
    """Single flares without structure: 3-10 per cent of the time each, seldom overlapping.

    Parameters
    ----------
    generator : numpy.random.Generator
        Source of random numbers.
    start, duration : float
        Interval in seconds; each of `n` equal parts of it gets one flare.
    n : int
        Number of flares.
    """
    flares = []
    for i in range(n):
        length = duration * generator.uniform(0.03, 0.10) / max(1, n / 3)
        part = duration / n
        begin = start + i * part + generator.uniform(0, max(part - length, 0.0))
        peak = float(np.exp(generator.uniform(*np.log(_PEAKS))))
        flares.append(SoftProtonFlare(begin, length, peak))
    return tuple(flares)


def with_structure(generator: np.random.Generator, outline: SoftProtonFlare) -> Flares:
    """Overlapping pulses inside an outline: a fast rise, a slow decay, spikes.

    Three long pulses, each starting near the begin and weaker than the one before, make the rise
    and the decay; two to six short ones on top are spikes of a tenth to a half of the peak.

    Examples
    --------
    >>> pulses = with_structure(np.random.default_rng(1), SoftProtonFlare(0.0, 1000.0, 20.0))
    >>> min(p.start for p in pulses) >= 0, max(p.interval[1] for p in pulses) <= 1000.0
    (True, True)
    """
    start, length, peak = outline.start, outline.duration, outline.amplitude
    pulses = []
    for share, widest in ((0.6, 0.25), (0.35, 0.6), (0.15, 1.0)):
        width = widest * generator.uniform(0.8, 1.0)
        begin = generator.uniform(0, min(0.1, 1 - width))
        pulses.append(SoftProtonFlare(start + begin * length, width * length, share * peak))
    for _ in range(int(generator.integers(2, 7))):
        width = generator.uniform(0.03, 0.15)
        begin = (1 - width) * generator.uniform() ** 1.5
        height = peak * generator.uniform(0.1, 0.5) * (1 - 0.7 * begin)
        pulses.append(SoftProtonFlare(start + begin * length, width * length, height))
    return tuple(pulses)


def flaring(generator: np.random.Generator, start: float, duration: float) -> Flares:
    """Flares at random times, at least two: a background that is seldom quiet.

    The number is Poisson's, one in 1600 s on average; lengths and peaks are log-normal with
    medians of 1500 s and 4.5 MOS counts per second and widths (natural logarithm) of 0.8 and 0.6.

    Parameters
    ----------
    generator : numpy.random.Generator
        Source of random numbers.
    start, duration : float
        Interval in seconds.
    """
    flares: list[SoftProtonFlare] = []
    for _ in range(max(2, int(generator.poisson(duration / _SPACING)))):
        length = _LENGTH * np.exp(_LENGTH_WIDTH * generator.standard_normal())
        length = float(np.clip(length, 100.0, 0.5 * duration))
        peak = float(_PEAK * np.exp(_PEAK_WIDTH * generator.standard_normal()))
        begin = start + float(generator.uniform(-0.2 * length, duration - 0.1 * length))
        flares += with_structure(generator, SoftProtonFlare(begin, length, peak))
    return tuple(flares)
