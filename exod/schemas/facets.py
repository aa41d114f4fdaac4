"""The facets of the explorer: what its readers choose rows by, a byte a row and facet.

The edges of bins are fixed, so that an address with numbers of bins means the same whatever the
archive holds. A value beyond the ends is in the first or the last bin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

MISSING: Final = 255
"""The code of a value that is missing."""

BINS: Final = 64


@dataclass(frozen=True)
class Facet:
    """One facet.

    Attributes
    ----------
    name : str
        Its name in addresses and in the index.
    column : str
        The column that it is made of; the first of those that a table has, if there are several
        with ``|`` between them.
    label : str
        What it is called.
    kind : {"bins", "codes"}
        Whether the values are binned or each has its code.
    start, stop : float
        The ends of the bins.
    log : bool
        Whether the bins are of equal ratios.
    """

    name: str
    column: str
    label: str
    kind: Literal["bins", "codes"] = "bins"
    start: float = 0.0
    stop: float = 1.0
    log: bool = False

    @property
    def edges(self) -> np.ndarray:
        """The edges of the bins, float64, shape (65,); empty for codes.

        Examples
        --------
        >>> Facet("hr", "hr_event", "Hardness ratio", start=-1, stop=1).edges[[0, 32, 64]]
        array([-1.,  0.,  1.])
        """
        if self.kind == "codes":
            return np.empty(0)
        spaced = np.geomspace if self.log else np.linspace
        return np.asarray(spaced(self.start, self.stop, BINS + 1))

    def binned(self, values: np.ndarray) -> np.ndarray:
        """The bin of each value.

        Parameters
        ----------
        values : float array, shape (n,)
            NaN where missing.

        Returns
        -------
        uint8 array, shape (n,)
            A value on an edge is in the bin that begins there; `MISSING` for NaN.

        Examples
        --------
        >>> facet = Facet("hr", "hr_event", "Hardness ratio", start=-1, stop=1)
        >>> facet.binned(np.array([-1.0, 0.0, 1.0, 7.0, np.nan]))
        array([  0,  32,  63,  63, 255], dtype=uint8)
        """
        found = np.searchsorted(self.edges[1:-1], values, side="right").astype(np.uint8)
        found[np.isnan(values)] = MISSING
        return found


_COMMON: Final = (
    Facet("sigma", "sigma_peak|best_lc_sigma_max_B_peak", "Peak, sigma", stop=10.24),
    Facet("esigma", "sigma_eclipse|best_lc_sigma_max_B_eclipse", "Eclipse, sigma", stop=10.24),
    Facet("kind", "kind|best_kind", "Kind of event", "codes"),
    Facet("tbin", "t_bin|best_t_bin", "Time bin, s", "codes"),
    Facet("band", "e_lo|best_e_lo", "Lower end of the band, keV", "codes"),
    Facet("duration", "duration|best_duration", "Duration, s", start=1, stop=1e5, log=True),
    Facet("excess", "excess|best_excess", "Excess, counts", start=1, stop=1e5, log=True),
    Facet("rate", "peak_rate|best_peak_rate", "Peak rate, ct/s", start=1e-3, stop=1e2, log=True),
    Facet(
        "flux", "flux_peak|best_flux_peak", "Peak flux, erg/cm²/s", start=1e-15, stop=1e-8, log=True
    ),
    Facet("hr", "hr_event|best_hr_event", "Hardness ratio of the event", start=-1, stop=1),
    Facet("fap", "fap_obs", "False-alarm probability", start=1e-16, stop=1, log=True),
    Facet("date", "t_start_mjd|best_t_start_mjd", "Start, MJD", start=51_500, stop=64_300),
    Facet("error", "pos_err_arcsec", "Position error, arcsec", start=0.1, stop=100, log=True),
    Facet("bti", "ratio_bti|best_lc_ratio_bti", "Share of bad time"),
    Facet("latitude", "#latitude", "Galactic latitude, deg", start=-90, stop=90),
)

_OF_SOURCES: Final = (
    Facet("ndet", "n_detections", "Detections", start=1, stop=1e4, log=True),
    Facet("nobs", "n_observations", "Observations with a detection", start=1, stop=1e3, log=True),
    Facet("undetected", "n_undetected", "Observations without", stop=64),
)

FACETS: Final = {"detections": _COMMON, "sources": (*_COMMON, *_OF_SOURCES)}
"""The facets of each table; flags, and types of counterparts, are added to them."""

SORTABLE: Final = (
    *("sigma_peak", "sigma_eclipse", "duration", "excess", "peak_rate", "hr_event", "fap_obs"),
    "flux_peak",
    *("t_start_mjd", "pos_err_arcsec", "ra_deg", "dec_deg", "n_detections", "n_observations"),
)
"""The columns, or those of the best detection, that the index has in single precision."""
