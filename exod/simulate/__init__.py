"""Event-level simulator: settings and a seed give the events of an observation, and the truth.

Nothing is read or written here; `exod.stages.simulate` writes files like those of the pipeline.
"""

from exod.simulate.eruptions import Periodic, PowerLawDecay, QuasiPeriodicEruptions
from exod.simulate.lightmodels import (
    BoxBurst,
    Constant,
    Eclipse,
    FastRiseBurst,
    GaussianBurst,
    LightCurve,
    SoftProtonFlare,
)
from exod.simulate.lighttext import parse_light_curve
from exod.simulate.models import DropOut, ExposureModel, HotPixel, ObservationModel, SourceModel
from exod.simulate.observation import SimulatedExposure, SimulatedObservation, simulate
from exod.simulate.scenario import default_observation
from exod.simulate.tabulated import Dip, Tabulated

__all__ = [
    "BoxBurst",
    "Constant",
    "Dip",
    "DropOut",
    "Eclipse",
    "ExposureModel",
    "FastRiseBurst",
    "GaussianBurst",
    "HotPixel",
    "LightCurve",
    "ObservationModel",
    "Periodic",
    "PowerLawDecay",
    "QuasiPeriodicEruptions",
    "SimulatedExposure",
    "SimulatedObservation",
    "SoftProtonFlare",
    "SourceModel",
    "Tabulated",
    "default_observation",
    "parse_light_curve",
    "simulate",
]
