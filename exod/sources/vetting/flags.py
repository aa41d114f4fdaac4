"""Quality flags of regions, each declared with its meaning and its numbers (method.md, Flags)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

import numpy as np

from exod.errors import InputError
from exod.schemas.arrays import Mask
from exod.schemas.derived import FLAG_MEANINGS

if TYPE_CHECKING:
    import pandas as pd

Test = Callable[["pd.DataFrame", Mapping[str, float]], "pd.Series[bool]"]


@dataclass(frozen=True)
class Flag:
    """A quality flag.

    Attributes
    ----------
    name : str
        Its column in the table ``flags``, as in the published catalogue where that has it.
    needs : tuple of str
        Columns that the test reads.
    test : callable, optional
        From rows and `parameters` to booleans; by default whether one of `needs` holds.
    parameters : mapping of str to float
        Numbers of the test.
    kind : {"defect", "merit", "label"}
        Whether True speaks against the region, for it, or says what it looks like.
    """

    name: str
    needs: tuple[str, ...]
    test: Test | None = field(default=None, repr=False)
    parameters: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    kind: Literal["defect", "merit", "label"] = "defect"

    @property
    def meaning(self) -> str:
        """What True means, with its numbers: the description of the column."""
        return FLAG_MEANINGS[self.name]

    def of(self, rows: pd.DataFrame) -> Mask:
        """The flag of each row; False where a value it needs is missing.

        Parameters
        ----------
        rows : DataFrame
            With the columns `needs`.

        Returns
        -------
        ndarray of bool, shape (len(rows),)

        Raises
        ------
        InputError
            If a column is not there.
        """
        missing = [name for name in self.needs if name not in rows]
        if missing:
            raise InputError(
                f"The flag {self.name} needs the columns {', '.join(missing)}, which the rows do "
                f"not have; join the features of the regions first."
            )
        if self.test is None:
            return rows[list(self.needs)].astype("boolean").any(axis=1).to_numpy(bool)
        found = self.test(rows, self.parameters)
        return found.astype("boolean").to_numpy(bool, na_value=False)


def _significant(rows: pd.DataFrame, numbers: Mapping[str, float]) -> pd.Series[bool]:
    peak = rows["max_B_peak_log"] > numbers["B_peak_log"]
    return peak | (rows["max_B_eclipse_log"] > numbers["B_eclipse_log"])


FIVE_SIGMA: Final = MappingProxyType({"B_peak_log": 13.2, "B_eclipse_log": 12.38})
"""log10 Bayes factors of 5 sigma (method.md, Significance; Flags)."""

QUALITY_FLAGS: Final = (
    Flag(
        "filt_tbin_5_n_l_5",
        ("t_bin", "n_max"),
        lambda rows, numbers: (
            (rows["n_max"] < numbers["n_max"]) & np.isclose(rows["t_bin"], numbers["t_bin"])
        ),
        MappingProxyType({"t_bin": 5.0, "n_max": 5.0}),
    ),
    Flag(
        "filt_g_20_detections",
        ("n_regions_run",),
        lambda rows, numbers: rows["n_regions_run"] > numbers["n_regions"],
        MappingProxyType({"n_regions": 20.0}),
    ),
    Flag(
        "filt_5sig",
        ("max_B_peak_log", "max_B_eclipse_log"),
        _significant,
        FIVE_SIGMA,
        kind="merit",
    ),
    Flag("filt_exclude_obsid", ("excluded",)),
    Flag("filt_hot_pixel", ("hot",)),
    # A short burst on a faint background is isolated, too: no reason to doubt it.
    Flag("filt_isolated_flare", ("n_max_isolated",), kind="label"),
    Flag("filt_first_last_bin", ("n_max_first_bin", "n_max_last_bin")),
    Flag("filt_artefact", ("artefact",)),
)
"""All quality flags, in the order of their columns."""


def flag_names() -> list[str]:
    """The names of all flags, in order.

    Examples
    --------
    >>> flag_names()[:3]
    ['filt_tbin_5_n_l_5', 'filt_g_20_detections', 'filt_5sig']
    """
    return [flag.name for flag in QUALITY_FLAGS]


def quality_flags(rows: pd.DataFrame) -> pd.DataFrame:
    """All flags of regions (method.md, Flags).

    Parameters
    ----------
    rows : DataFrame
        One row a region with ``t_bin`` (s), ``n_max`` (counts of the highest frame),
        ``n_regions_run`` (regions of its run), ``max_B_peak_log`` and ``max_B_eclipse_log``, and
        the booleans ``excluded`` (`excluded_observations`), ``hot``
        (`exod.sources.vetting.hotregions.inside`),
        ``n_max_isolated``, ``n_max_first_bin``, ``n_max_last_bin`` (features) and ``artefact``
        (`exod.sources.vetting.artefacts.is_artefact`).

    Returns
    -------
    DataFrame
        Boolean columns with the names of `QUALITY_FLAGS` and the index of `rows`; never null: a
        missing value sets no flag.

    Raises
    ------
    InputError
        If a column is not there.

    Examples
    --------
    >>> import pandas as pd
    >>> row = {"t_bin": 5.0, "n_max": 4, "n_regions_run": 3, "max_B_peak_log": 14.0,
    ...        "max_B_eclipse_log": float("nan"), "excluded": False, "hot": False,
    ...        "n_max_isolated": True, "n_max_first_bin": False, "n_max_last_bin": False,
    ...        "artefact": False}
    >>> found = quality_flags(pd.DataFrame([row]))
    >>> [name for name in found if found[name][0]]
    ['filt_tbin_5_n_l_5', 'filt_5sig', 'filt_isolated_flare']
    """
    # The names and meanings of flags are asked for without any rows.
    import pandas as pd

    return pd.DataFrame({flag.name: flag.of(rows) for flag in QUALITY_FLAGS}, index=rows.index)


def regions_of_run(rows: pd.DataFrame) -> pd.Series[int]:
    """How many of the rows are of the same run, for each row.

    Parameters
    ----------
    rows : DataFrame
        Regions, all of each run, with ``runid``.
    """
    return rows.groupby("runid")["runid"].transform("size").astype(np.int64)
