"""Event-level simulator: settings and a seed give the events of an observation, and the truth.

Nothing is read or written here; `exod.stages.simulate` writes files like those of the pipeline.
"""

from exod.simulate.lightmodels import (
    BoxBurst,
    Constant,
    Eclipse,
    FastRiseBurst,
    GaussianBurst,
    LightCurve,
    SoftProtonFlare,
)
from exod.simulate.models import DropOut, ExposureModel, HotPixel, ObservationModel, SourceModel
from exod.simulate.observation import SimulatedExposure, SimulatedObservation, simulate
from exod.simulate.scenario import default_observation

__all__ = [
    "BoxBurst",
    "Constant",
    "DropOut",
    "Eclipse",
    "ExposureModel",
    "FastRiseBurst",
    "GaussianBurst",
    "HotPixel",
    "LightCurve",
    "ObservationModel",
    "SimulatedExposure",
    "SimulatedObservation",
    "SoftProtonFlare",
    "SourceModel",
    "default_observation",
    "simulate",
]
