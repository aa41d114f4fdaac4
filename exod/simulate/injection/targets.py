"""Event lists that sources are put into, and the events that a source gives in one of them."""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from functools import cached_property
from typing import Self

import numpy as np

from exod.errors import ConfigError
from exod.instruments import CAMERAS
from exod.instruments.detector import DETECTORS
from exod.observation.aspect import aspect_of_events
from exod.observation.availability import Availability
from exod.observation.commonsky import sky_plane
from exod.observation.events import EventList, Exposure
from exod.observation.times import spread_over_frames
from exod.simulate.acisview import AcisView, acis_events
from exod.simulate.camera.readout import ReadEvents, acceptance, read_events
from exod.simulate.models import ExposureModel, SourceModel, source_area
from exod.simulate.photons import source_photons
from exod.sky.plane import TangentPlane


@dataclass(frozen=True)
class Target:
    """An event list that sources are put into.

    Attributes
    ----------
    exposure : Exposure
        Its header.
    events : EventList
        All rows, in the order of the file.
    availability : Availability
        When and where the camera gives events.
    """

    exposure: Exposure
    events: EventList
    availability: Availability

    @classmethod
    def of(
        cls, exposure: Exposure, events: EventList, availability: Availability | None = None
    ) -> Self:
        """With what the events alone tell of the availability unless it is given.

        Raises
        ------
        ConfigError
            If the list is empty, or its header does not say where the camera looks or its submode
            is one that the simulator does not know; the text names the file.
        """
        name = exposure.filename
        if not np.isfinite(exposure.pa_pnt):
            raise ConfigError(f"{name} has no PA_PNT in its header; the camera's angle is unknown.")
        try:
            target = cls(exposure, events, availability or Availability.of_events(events))
            _ = target.model if exposure.instrument in CAMERAS else target.view
        except ConfigError as error:
            raise ConfigError(f"{name}: {error}") from error
        return target

    @cached_property
    def plane(self) -> TangentPlane:
        """Projection about the pointing; that of X and Y may be about another place."""
        exposure, plane = self.exposure, self.exposure.plane
        if np.isfinite([exposure.ra_pnt, exposure.dec_pnt]).all():
            return sky_plane(exposure.ra_pnt, exposure.dec_pnt)
        return sky_plane(plane.ra_ref, plane.dec_ref)

    @cached_property
    def model(self) -> ExposureModel:
        """Camera, times and submode for the simulator."""
        exposure, available = self.exposure, self.availability
        return ExposureModel(
            instrument=exposure.instrument,
            expid=exposure.expid,
            start=available.start,
            duration=available.stop - available.start,
            submode=exposure.submode,
            filter=exposure.filter,
        )

    @cached_property
    def view(self) -> AcisView | None:
        """What the simulator needs of an exposure of ACIS; None of EPIC."""
        exposure, available = self.exposure, self.availability
        if exposure.instrument in CAMERAS:
            return None
        aspect = aspect_of_events(self.events, exposure.camera)
        if aspect is None:
            raise ConfigError("it has too few events to tell where its CCDs are.")
        x, y = (float(v) for v in exposure.plane.to_pixel(exposure.ra_pnt, exposure.dec_pnt))
        frame_time = exposure.camera.frame_time
        return AcisView(aspect, exposure.plane, (x, y), available.start, available.stop, frame_time)


def seen_area(target: Target, source: SourceModel) -> float:
    """Vignetting at the source; 0 outside the field of view of the camera."""
    exposure = target.exposure
    if target.view is not None:
        return float(target.view.sees(source))
    detector = DETECTORS[exposure.instrument]
    return source_area(source, detector, target.plane, exposure.pa_pnt)


def light_within(target: Target, source: SourceModel) -> float:
    """Integral of the light curve over the exposure, seconds; 0 if it is next to nothing."""
    available = target.availability
    light = source.light_curve.integral(available.start, available.stop)
    return light if light > 1e-9 else 0.0


def events_of(
    target: Target,
    source: SourceModel,
    index: int,
    generator: np.random.Generator,
) -> ReadEvents:
    """Events of one source in the order of a pipeline file; `index` is their origin."""
    exposure = target.exposure
    if target.view is not None:
        events = acis_events(target.view, source, generator)
        kept = target.availability.gives_events(events, generator)
        events = events.take(kept)
        time = spread_over_frames(events.time, target.view.frame_time)
        none = np.zeros(len(events), np.int16)
        return ReadEvents(replace(events, time=time), none, none, none + np.int16(index))
    model = target.model
    photons = source_photons(
        source,
        model,
        target.plane,
        exposure.pa_pnt,
        acceptance(CAMERAS[exposure.instrument]),
        generator,
        index,
    )
    read = read_events(photons, model, exposure.pa_pnt, generator)
    kept = target.availability.gives_events(read.events, generator)
    events = _on_plane(read.events.take(kept), target.plane, exposure.plane)
    return ReadEvents(events, read.detx[kept], read.dety[kept], read.origin[kept])


def _on_plane(events: EventList, drawn: TangentPlane, wanted: TangentPlane) -> EventList:
    """The events with X and Y of another projection."""
    if np.allclose(astuple(drawn), astuple(wanted), rtol=0, atol=1e-9):
        return events
    x, y = wanted.to_pixel(*drawn.to_sky(events.x, events.y))
    return replace(events, x=np.rint(x).astype(np.int32), y=np.rint(y).astype(np.int32))
