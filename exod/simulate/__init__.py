"""Event-level simulator: settings and a seed give the events of an observation, and the truth.

Nothing is read or written here; `exod.stages.inputs.simulate` writes files like those of the
pipeline.
"""

from exod.simulate.injection.inject import InjectedList, inject_in_memory
from exod.simulate.injection.strength import expected_counts, with_counts
from exod.simulate.injection.targets import Target
from exod.simulate.lights.eruptions import Periodic, PowerLawDecay, QuasiPeriodicEruptions
from exod.simulate.lights.lightmodels import (
    BoxBurst,
    Constant,
    Eclipse,
    FastRiseBurst,
    GaussianBurst,
    LightModel,
    SoftProtonFlare,
)
from exod.simulate.lights.lighttext import parse_light_curve
from exod.simulate.lights.tabulated import Dip, Tabulated
from exod.simulate.models import DropOut, ExposureModel, HotPixel, ObservationModel, SourceModel
from exod.simulate.observation import SimulatedExposure, SimulatedObservation, simulate
from exod.simulate.scenario import default_observation

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
    "InjectedList",
    "LightModel",
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
