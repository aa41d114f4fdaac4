"""Where places of the sky lay on the CCDs while the pointing moved, from the events themselves.

In go the events of an exposure, out comes an `Aspect`: which pixel of which CCD saw a place at a
time, and how many photons its column had.
"""

from exod.observation.aspect.aspectfit import LEAST_EVENTS, STEP_SECONDS, aspect_of_events
from exod.observation.aspect.chipmaps import Aspect, ChipMap, ColumnPhotons

__all__ = [
    "LEAST_EVENTS",
    "STEP_SECONDS",
    "Aspect",
    "ChipMap",
    "ColumnPhotons",
    "aspect_of_events",
]
