"""From counts to flux: what a camera makes of light of a spectrum, at a place, through a filter.

counts = flux * sum over the cameras of (factor * vignetting * time on). The factor, counts for
each erg/cm^2, is that of the pipeline for a power law of photon index 1.7 behind 3e20 hydrogen
atoms per cm^2 (table ``catalogs/epic_ecf.csv``); fluxes are absorbed. That of other spectra says
how wrong it can be. Counts are those of the whole PSF.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Final

import numpy as np
import pandas as pd

from exod.config import Band
from exod.errors import ConfigError
from exod.schemas.arrays import Floats, Mask

EDGES_KEV: Final = (0.2, 0.5, 1.0, 2.0, 4.5, 12.0)
"""Edges of the pipeline's bands 1 to 5."""

GAMMA: Final = 1.7
NH: Final = 3e20
"""Photon index and hydrogen column (per cm^2) of the spectrum that fluxes are of."""

_BLOCKED = re.compile("CLOSED|CAL.*")
"""Filters through which a camera sees no sky, or the calibration source beside it."""

_OPEN = MappingProxyType({"THIN": "Thin", "MEDIUM": "Medium", "THICK": "Thick"})
_BESIDE_LETTERS = re.compile(r"[\s_\d-]")

_SCALE = 1e11


@dataclass(frozen=True)
class Conversions:
    """Factors from flux to counts, for spectra of some shapes.

    Attributes
    ----------
    shapes : ndarray of float64, shape (n_shapes, 2)
        Photon index, and log10 of the hydrogen column per cm^2.
    shares : ndarray of float64, shape (n_shapes, 5)
        Shares of the flux of 0.2-12 keV in the bands of the pipeline.
    factors : mapping of (str, str) to ndarray of float64, shape (n_shapes, 5)
        Counts in the band for each erg/cm^2 in the band, on axis, by camera and filter.
    """

    shapes: Floats
    shares: Floats
    factors: Mapping[tuple[str, str], Floats]

    @classmethod
    def of(cls, rows: pd.DataFrame) -> Conversions:
        """From the rows of ``catalogs/epic_ecf.csv``; all cameras and filters have one grid.

        Raises
        ------
        ConfigError
            If they have not, a number is no positive one, or the spectrum of fluxes is missing.
        """
        bands = range(1, 6)
        factors, grids = {}, []
        for (camera, name), own in rows.groupby(["camera", "filter"]):
            ordered = own.sort_values(["gamma", "log_nh"])
            numbers = ordered[[f"ecf_{b}" for b in bands]].to_numpy(float)
            factors[str(camera), str(name)] = numbers * _SCALE
            columns = ["gamma", "log_nh", *(f"share_{b}" for b in bands)]
            grids.append(ordered[columns].to_numpy(float))
        if not grids or any(not np.array_equal(grid, grids[0]) for grid in grids):
            raise ConfigError("The table of conversion factors has other spectra for each camera.")
        if not (np.isfinite(grids[0]).all() and all((f > 0).all() for f in factors.values())):
            raise ConfigError("The table of conversion factors has a number that is not positive.")
        made = cls(grids[0][:, :2], grids[0][:, 2:], MappingProxyType(factors))
        if not made._is_reference.any():
            raise ConfigError(
                f"The table of conversion factors lacks photon index {GAMMA} and column {NH:g}."
            )
        return made

    @cached_property
    def _is_reference(self) -> Mask:
        found = np.isclose(self.shapes, [GAMMA, np.log10(NH)], atol=0.001).all(axis=1)
        return np.asarray(found)

    @cached_property
    def reference(self) -> int:
        """Number of the shape that fluxes are of."""
        return int(np.argmax(self._is_reference))

    def counts(self, camera: str, filter_name: str, band: Band, vignetting: Floats) -> Floats:
        """Counts of a band for each erg/cm^2 in it, for each shape of the spectrum.

        Parameters
        ----------
        camera, filter_name : str
            INSTRUME and FILTER, for which `without_reason` has no objection.
        band : (float, float)
            Energies in keV, among `EDGES_KEV`.
        vignetting : ndarray of float64, shape (..., 5)
            In each band of the pipeline, see `exod.instruments.vignetting`.

        Returns
        -------
        ndarray of float64, shape (..., n_shapes)
        """
        low, high = (EDGES_KEV.index(edge) for edge in band)
        shares = self.shares[:, low:high]
        weights = shares / shares.sum(axis=1, keepdims=True)
        factors = self.factors[camera, filter_kind(filter_name)][:, low:high] * weights
        return np.asarray(vignetting[..., low:high] @ factors.T)

    def why_not(self, camera: str, filter_name: str, band: Band) -> str:
        """Why there is no flux, a sentence; empty if there is one."""
        if camera not in {key[0] for key in self.factors}:
            return f"No factor for the camera {camera or '(none)'}."
        if any(edge not in EDGES_KEV for edge in band):
            edges = ", ".join(f"{edge:g}" for edge in EDGES_KEV)
            return f"No factor for {band[0]:g}-{band[1]:g} keV: edges are among {edges}."
        if not filter_name.strip():
            return f"The event list of {camera} does not say which filter was used."
        if _BLOCKED.fullmatch(_BESIDE_LETTERS.sub("", filter_name).upper()):
            return f"The filter of {camera} was {filter_name}."
        if (camera, filter_kind(filter_name)) not in self.factors:
            return f"No factor for the filter {filter_name} of {camera}."
        return ""


def filter_kind(name: str) -> str:
    """Filter as the table of factors calls it, however it is written: the two thin ones are alike.

    Examples
    --------
    >>> filter_kind("Thin2"), filter_kind("MEDIUM"), filter_kind("Open")
    ('Thin', 'Medium', 'Open')
    """
    return _OPEN.get(_BESIDE_LETTERS.sub("", name).upper(), name)


def shape_error(counts: Floats, reference: int, allowed: Mask) -> Floats:
    """Largest relative error of a flux that spectra of other shapes make.

    Parameters
    ----------
    counts : ndarray of float64, shape (n, n_shapes)
        Counts for each erg/cm^2.
    reference : int
        Shape that fluxes are of.
    allowed : ndarray of bool, shape (n, n_shapes)
        Shapes that the colours allow; where none is, all are.

    Returns
    -------
    ndarray of float64, shape (n,)

    Examples
    --------
    >>> counts = np.array([[2.0, 2.5, 1.0]])
    >>> shape_error(counts, 0, np.array([[True, True, False]]))
    array([0.2])
    """
    some = allowed | ~allowed.any(axis=1, keepdims=True)
    off = np.abs(counts[:, [reference]] / counts - 1)
    return np.asarray(np.where(some, off, 0.0).max(axis=1))


def allowed_by_hardness(soft: Floats, hard: Floats, low: Floats, high: Floats) -> Mask:
    """Shapes whose hardness ratio lies within an interval.

    Parameters
    ----------
    soft, hard : ndarray of float64, shape (n, n_shapes)
        Counts in the two bands, on any common scale.
    low, high : ndarray of float64, shape (n,)
        Ends of the credible interval; where they are NaN all shapes are allowed.

    Returns
    -------
    ndarray of bool, shape (n, n_shapes)
        Where no shape lies within, the one nearest to the interval.
    """
    ratio = (hard - soft) / (hard + soft)
    low, high = low[:, None], high[:, None]
    beyond = np.maximum(np.maximum(low - ratio, ratio - high), 0.0)
    known = np.isfinite(low) & np.isfinite(high)
    nearest = np.where(known, beyond, 0.0)
    return np.asarray(nearest <= nearest.min(axis=1, keepdims=True))
