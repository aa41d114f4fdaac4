"""Sources as ACIS sees them: PSF, CCDs, dither and frames.

Photons of a source pass the PSF of their off-axis angle, the CCDs that lie at their place when
they arrive, and the frames; those that arrive while a frame is shifted get another row of their
CCD, so that bright sources have streaks. Vignetting and pile-up are left out: rates are those at
the place.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from exod.instruments import ACIS
from exod.instruments.acis import PSF
from exod.instruments.king import king_fraction, king_radius
from exod.observation.aspect import Aspect
from exod.observation.events import EventList
from exod.schemas.arrays import Floats
from exod.simulate.camera.spectra import lognormal_quantile
from exod.simulate.models import SourceModel
from exod.sky.plane import TangentPlane


@dataclass(frozen=True, eq=False)
class AcisView:
    """What a simulation needs of an exposure, simulated or real.

    Attributes
    ----------
    aspect : Aspect
        Motion of the pointing, and CCDs.
    plane : TangentPlane
        Projection of X and Y.
    axis : tuple of float
        Pointing direction, sky pixels.
    start, stop : float
        Seconds.
    frame_time : float
        Seconds between frames.
    """

    aspect: Aspect
    plane: TangentPlane
    axis: tuple[float, float]
    start: float
    stop: float
    frame_time: float

    def off_axis(self, x: float, y: float) -> float:
        """Angle from the axis in arcmin of a sky pixel."""
        return float(np.hypot(x - self.axis[0], y - self.axis[1])) * self.plane.pixel_arcsec / 60

    def sees(self, source: SourceModel) -> bool:
        """Whether a source was on a CCD at any time."""
        x, y = (float(value) for value in self.plane.to_pixel(source.ra_deg, source.dec_deg))
        if not np.isfinite([x, y]).all():
            return False
        return bool(self.aspect.seen(x, y, np.zeros(1), self.aspect.time).any())


def acis_events(view: AcisView, source: SourceModel, generator: np.random.Generator) -> EventList:
    """Events of a source in order of time; times are those of the middle of their frames.

    Parameters
    ----------
    view : AcisView
        The exposure.
    source : SourceModel
        Its rate in ACIS counts events of 0.5 to 7 keV per second at its place, in the whole PSF,
        as if no light fell between CCDs.
    generator : numpy.random.Generator
        Source of random numbers.
    """
    rate = source.rate.get(ACIS.name, 0.0)
    time = source.light_curve.sample(generator, rate, view.start, view.stop)
    x, y = (float(value) for value in view.plane.to_pixel(source.ra_deg, source.dec_deg))
    core = float(PSF.core(view.off_axis(x, y)))
    whole = float(king_fraction(PSF.reach_arcsec, core, PSF.slope))
    radius = king_radius(whole * generator.random(len(time)), core, PSF.slope)
    angle = 2 * np.pi * generator.random(len(time))
    offset = np.stack([radius * np.cos(angle), radius * np.sin(angle)])
    offset += source.extent_arcsec * generator.standard_normal(offset.shape)
    offset /= view.plane.pixel_arcsec
    limits = ACIS.observatory.energies_kev
    energy = lognormal_quantile(source.energy_kev, generator.random(len(time)), limits)
    (late,) = generator.spawn(1)
    return read_photons(view, x + offset[0], y + offset[1], time, energy, late)


def read_photons(
    view: AcisView,
    x: Floats,
    y: Floats,
    time: Floats,
    energy_kev: Floats,
    generator: np.random.Generator | None = None,
) -> EventList:
    """Events of photons at sky pixels: those on CCDs, in frames that are whole.

    With a `generator`, those that arrive while a frame is shifted get another row.
    """
    ccdnr, column, row = view.aspect.pixels(x, y, time)
    if generator is not None:
        late = (generator.random(len(time)) * view.frame_time < ACIS.transfer_time) & (ccdnr > 0)
        row[late] = 0.5 + ACIS.n_rows * generator.random(int(late.sum()))
        x, y = np.array(x), np.array(y)
        x[late], y[late] = view.aspect.places(ccdnr[late], column[late], row[late], time[late])
    frame = np.floor((time - view.start) / view.frame_time)
    middle = view.start + (frame + 0.5) * view.frame_time
    kept = (ccdnr > 0) & (view.start + (frame + 1) * view.frame_time <= view.stop)
    chosen = np.flatnonzero(kept)
    order = chosen[np.argsort(middle[chosen], kind="stable")]
    n = len(order)
    return EventList(
        time=middle[order],
        x=np.rint(x[order]).astype(np.int32),
        y=np.rint(y[order]).astype(np.int32),
        pi=np.clip(np.rint(1000 * energy_kev[order]), 1, 32_000).astype(np.int16),
        ccdnr=ccdnr[order].astype(np.uint8),
        rawx=np.rint(column[order]).astype(np.int16),
        rawy=np.rint(row[order]).astype(np.int16),
        pattern=np.zeros(n, np.uint8),
        flag=np.zeros(n, np.int32),
    )
