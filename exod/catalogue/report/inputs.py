"""What the report reads: the only place that names columns of other tables.

Columns of features, flags and cross-matches may be missing; what rests on them is then left out
and the report says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

RUNS: Final = (
    "runid",
    "obsid",
    "subset",
    "t_bin",
    "e_lo",
    "e_hi",
    "false_peaks",
    "false_eclipses",
    "t_lo",
    "t_hi",
    "n_frames",
    "n_gti",
    "n_events",
    "n_regions",
)
OBSERVATIONS: Final = ("obsid", "n_events", "n_exposures", "n_subsets")
EXPOSURES: Final = (
    "instrument",
    "submode",
    "filter",
    "used",
    "n_selected",
    "time_min",
    "time_max",
)
REGIONS: Final = (
    "t_bin",
    "e_lo",
    "e_hi",
    "kind",
    "sigma_peak",
    "sigma_eclipse",
    "max_B_peak_log",
    "max_B_eclipse_log",
    "duration",
    "excess",
)
REGION_KEYS: Final = ("detid", "runid", "obsid")
BEST_REGION: Final = (
    "detid",
    "obsid",
    "kind",
    "t_bin",
    "e_lo",
    "e_hi",
    "sigma_peak",
    "sigma_eclipse",
    "duration",
    "peak_rate",
    "event_n",
    "excess",
)
UNIQUE: Final = ("region_num", "ra_deg", "dec_deg", "n_observations")
UNIQUE_KEYS: Final = ("region_num", "srcid", "n_detections", "best_detid")
TOP: Final = (
    "region_num",
    "srcid",
    "ra_deg",
    "dec_deg",
    "pos_err_arcsec",
    "n_detections",
    "n_observations",
    "best_detid",
    "max_B_peak_log",
    "max_B_eclipse_log",
    "sigma_peak",
    "sigma_eclipse",
    "fap_obs",
)
MEMBERS: Final = ("detid", "region_num", "srcid")
COMPARED: Final = ("obsid", "region_num", "ra_deg", "dec_deg", "sigma_peak", "sigma_eclipse")

SIGNIFICANT_BINS: Final = MappingProxyType(
    {
        (sigma, kind, place): f"n_{sigma}_sig_{kind}_bins_{place}"
        for sigma in (3, 5)
        for kind in ("peak", "eclipse")
        for place in ("gti", "bti")
    }
)
"""Features: significant frames by sigma, kind and place."""

HARDNESS: Final = MappingProxyType({"hr": "whole observation", "hr_event": "event"})
"""Features: hardness ratios, and of what they are."""

HIGHEST: Final = ("n_max", "n_max_isolated")
"""Features: counts of the highest frame, and whether it has none beside it."""

FLAG: Final = "filt_"
"""How the names of flags begin."""

SEPARATION: Final = "sep_arcsec"
"""Cross-matches: how the name of the separation ends; what is before is the prefix."""

CATALOGUES: Final = MappingProxyType({"simbad": "simbad", "gaia": "gaia_dr3", "xmm": "4xmm_dr14"})
"""Cross-matches with sections of their own."""

Called = Mapping[str, tuple[str, ...]]
"""What a catalogue may call its columns, by what they are."""

WANTED: Final = MappingProxyType(
    {
        "type": ("otype", "main_type"),
        "name": ("main_id",),
        "parallax": ("parallax", "plx"),
        "parallax_error": ("parallax_error", "e_plx"),
        "magnitude": ("g_mag", "phot_g_mean_mag", "gmag"),
        "blue": ("bp_mag", "phot_bp_mean_mag", "bpmag"),
        "red": ("rp_mag", "phot_rp_mean_mag", "rpmag"),
        "colour": ("bp_rp", "bp-rp"),
        "flux": ("sc_ep_8_flux", "flux8"),
        "variable": ("sc_var_flag",),
    }
)
"""Columns of catalogues, without their prefixes: the names that services give to them."""

EXTRAS: Final = MappingProxyType(
    {
        "ra": ("RA", "RAdeg", "RA_ICRS", "RAJ2000"),
        "dec": ("DEC", "DEdeg", "DE_ICRS", "DEJ2000"),
        "obsid": ("OBS_ID", "OBSID"),
        "source": ("SRCID", "3XMM_SRCID", "4XMM_SRCID"),
        "p": ("UB_LC500_CO_PVAL",),
    }
)
"""Columns of a table of EXTraS, one row a light curve; all are needed."""

XMM: Final = MappingProxyType(
    {
        "ra": ("SC_RA", "RA"),
        "dec": ("SC_DEC", "DEC"),
        "flux": ("SC_EP_8_FLUX",),
        "variable": ("SC_VAR_FLAG",),
        "source": ("SRCID",),
        "type": ("simbad_otype", "simbad_main_type", "otype", "main_type"),
    }
)
"""Columns of a table of all sources of 4XMM; the last two may be missing."""


def prefix_of(columns: Iterable[str]) -> str | None:
    """The prefix of the columns of a cross-match; None if it has no separation.

    Examples
    --------
    >>> prefix_of(["region_num", "gaia_sep_arcsec", "gaia_Gmag"])
    'gaia_'
    """
    ends = [name for name in columns if name.endswith(SEPARATION)]
    return ends[0].removesuffix(SEPARATION) if ends else None


def catalogue_columns(columns: Iterable[str], prefix: str) -> Mapping[str, str]:
    """Columns of a cross-match by what they are: the keys of `WANTED` that it has.

    Capital letters do not matter.

    Examples
    --------
    >>> catalogue_columns(["gaia_sep_arcsec", "gaia_Gmag", "gaia_BP-RP"], "gaia_")
    {'magnitude': 'gaia_Gmag', 'colour': 'gaia_BP-RP'}
    """
    plain = {name.removeprefix(prefix).lower(): name for name in columns if name.startswith(prefix)}
    found = {}
    for key, names in WANTED.items():
        present = [plain[name] for name in names if name in plain]
        if present:
            found[key] = present[0]
    return found
