"""Event-level simulator: settings and a seed give the events of an observation, and the truth.

Nothing is read or written here; `exod.stages.simulate` writes files like those of the pipeline.
"""

from exod.simulate.availability import Availability
from exod.simulate.eruptions import Periodic, PowerLawDecay, QuasiPeriodicEruptions
from exod.simulate.inject import InjectedList, inject_in_memory
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
from exod.simulate.strength import expected_counts, with_counts
from exod.simulate.tabulated import Dip, Tabulated
from exod.simulate.targets import Target

__all__ = [
    "Availability",
    "BoxBurst",
    "Constant",
    "Dip",
    "DropOut",
    "Eclipse",
    "ExposureModel",
    "FastRiseBurst",
    "GaussianBurst",
    "HotPixel",
    "InjectedList",
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
    "Target",
    "default_observation",
    "expected_counts",
    "inject_in_memory",
    "parse_light_curve",
    "simulate",
    "with_counts",
]
