"""The steps of an observation of Chandra, by the names and arguments of the original."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from exod.astromon.process.chandrafiles import ChandraFiles
from exod.astromon.process.ciaosteps import CiaoSteps
from exod.astromon.process.nativesteps import NativeSteps
from exod.astromon.utils import FlowException, logging_call_decorator


class Skipped(FlowException):
    """An observation is not of a kind that is processed."""


class SkippedWithWarning(FlowException):
    """An observation has nothing that can be processed."""


class ChandraSteps(ChandraFiles, ABC):
    """Steps of an observation, as methods; see `exod.astromon.observation.ChandraObservation`."""

    @property
    @abstractmethod
    def steps(self) -> CiaoSteps | NativeSteps:
        """The steps with CIAO, or without it."""

    @logging_call_decorator
    def repro(self) -> None:
        """Process the data again with chandra_repro, unless there are images of them."""
        self.steps.repro()

    @logging_call_decorator
    def filter_events(self, radius: float = 180, psfratio: float = 1) -> str:
        """Leave out events further than `radius` arcsec from the pointing: the new event list."""
        del psfratio  # An argument of the original, which has no use for it either.
        return str(self.steps.filter_events(radius))

    @logging_call_decorator
    def make_images(self, evt: str | Path | None = None) -> None:
        """Make images of an event list, by default of the filtered one.

        Raises
        ------
        SkippedWithWarning
            If there are no events.
        """
        events = None if evt is None else Path(evt)
        if not self.steps.make_images(events):
            raise SkippedWithWarning(f"{self} has no events in {events or 'the filtered list'}")

    @logging_call_decorator
    def run_wavdetect(
        self,
        edition: str,
        skip_exist: bool = False,  # noqa: FBT001, FBT002 - a call of the original
        scales: str = "1.4 2 4 8 16 32",
    ) -> None:
        """Find sources with wavelets of some scales, pixels: the list ``{obsid}_{edition}.src``."""
        self.steps.run_wavdetect(edition, scales.split(), skip_exist=skip_exist)

    @logging_call_decorator
    def run_celldetect(self, snr: float = 3) -> None:
        """Find sources of a signal-to-noise ratio with a sliding cell."""
        self.steps.run_celldetect(snr)

    @logging_call_decorator
    def filter_sources(self, radius: float = 180, psfratio: float = 1) -> str:
        """Leave out sources further than `radius` arcsec from the pointing, or extended."""
        return str(self.steps.filter_sources(radius, psfratio))

    @logging_call_decorator
    def calculate_centroids(self) -> NDArray[np.void]:
        """Centroids of the sources: x and y in sky pixels, shape (n,)."""
        return self.steps.centroids()

    @logging_call_decorator
    def dmcoords(self, name: str, **kwargs: Any) -> float:
        """A coordinate by dmcoords of CIAO, along the aspect solution.

        Parameters
        ----------
        name : str
            Which parameter, as x, y, ra, dec or theta.
        **kwargs
            Parameters of dmcoords, as op, ra and dec.

        Raises
        ------
        CiaoError
            If there is no CIAO, or it fails.
        """
        return self.steps.coordinate(name, kwargs)
