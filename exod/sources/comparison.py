"""Published detections against those of an archive, by place and run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from exod.errors import InputError
from exod.schemas.kinds import OBSID_FORM
from exod.sky.sphere import angle, unit_vectors
from exod.sources.clustering import near_pairs
from exod.sources.recovery import RADIUS_ARCSEC, RUN, kinds_of_runs

FOUND: Final = "found"
"""A region of the same observation and kind of run is within the radius."""
OTHER_RUN: Final = "found by another run"
"""Only another kind of run of the observation has a region there."""
LOST: Final = "not found"
"""The run was searched, and no run of the observation has a region there."""
NOT_SEARCHED: Final = "run not searched"
"""The archive has no run of this kind of the observation, and no other has a region there."""
NEW: Final = "new"
"""A region where nothing is published in its observation."""
NEW_RUN: Final = "new in this run"
"""A region where another kind of run has a published detection, but not its own."""

OUTCOMES: Final = (FOUND, OTHER_RUN, LOST, NOT_SEARCHED, NEW, NEW_RUN)

_DETID: Final = re.compile(
    rf"(?P<obsid>{OBSID_FORM})_(?P<subset>\d+)_(?P<t_bin>[\d.]+)"
    r"_(?P<e_lo>[\d.]+)_(?P<e_hi>[\d.]+)_\d+"
)


@dataclass(frozen=True)
class Comparison:
    """What became of published detections, and what an archive has beyond them.

    Attributes
    ----------
    rows : DataFrame
        A row for each published detection of an observation that was searched, then one for each
        region that is new: outcome (of `OUTCOMES`), obsid, t_bin, e_lo, e_hi of the published
        detection or new region, published_detid, published_srcid (None where new), detid (None
        where nothing is found), ra_deg, dec_deg and sep_arcsec (NaN where nothing is found).
    n_elsewhere : int
        Published detections of observations that the archive has not searched.
    n_sources, n_sources_found : int
        Published sources with a detection in the observations searched, and those of which at
        least one such detection is found, by whichever run.
    """

    rows: pd.DataFrame
    n_elsewhere: int
    n_sources: int
    n_sources_found: int

    def counts(self) -> pd.DataFrame:
        """Rows of each outcome for each kind of run: t_bin, e_lo, e_hi, then `OUTCOMES`."""
        kinds = kinds_of_runs(self.rows)
        numbers = self.rows.groupby([*RUN, "outcome"]).size().unstack(fill_value=0)
        numbers = numbers.reindex(columns=list(OUTCOMES), fill_value=0).reset_index()
        return kinds.merge(numbers, on=list(RUN), how="left")


def with_runs(published: pd.DataFrame) -> pd.DataFrame:
    """Published detections with the run that their identifiers name.

    Parameters
    ----------
    published : DataFrame
        With detid, ``{obsid}_{subset}_{t_bin}_{e_lo}_{e_hi}_{label}``.

    Returns
    -------
    DataFrame
        The same with obsid (text) and t_bin, e_lo, e_hi (float64).

    Raises
    ------
    InputError
        If an identifier is of another form.

    Examples
    --------
    >>> rows = with_runs(pd.DataFrame({"detid": ["0765080801_0_50_0.2_12.0_3"]}))
    >>> rows[["obsid", "t_bin", "e_lo", "e_hi"]].to_numpy().tolist()
    [['0765080801', 50.0, 0.2, 12.0]]
    """
    matches = [_DETID.fullmatch(str(detid).strip()) for detid in published["detid"]]
    wrong = [row for row, match in enumerate(matches) if match is None]
    if wrong:
        raise InputError(
            f"The detection {published['detid'].iloc[wrong[0]]!r} (row {wrong[0] + 1}) is not "
            f"named OBSID_SUBSET_TBIN_ELO_EHI_LABEL, so that its run is not known."
        )
    found = [match.groupdict() for match in matches if match]
    names = ["obsid", *RUN]
    runs = pd.DataFrame(found, columns=names, index=published.index)
    return published.assign(**runs.astype(dict.fromkeys(RUN, np.float64)))


def compare(
    published: pd.DataFrame,
    regions: pd.DataFrame,
    runs: pd.DataFrame,
    radius_arcsec: float = RADIUS_ARCSEC,
) -> Comparison:
    """Look for published detections among regions, and for regions among these.

    A kind of run is a time bin and an energy band; the numbers of subsets are not compared, since
    exposures may be put together otherwise. One region may be the counterpart of several
    detections. Without a position nothing is near.

    Parameters
    ----------
    published : DataFrame
        Of `with_runs`, with srcid, ra_deg and dec_deg.
    regions : DataFrame
        detid, obsid, t_bin, e_lo, e_hi, ra_deg, dec_deg.
    runs : DataFrame
        The runs that were searched: obsid, t_bin, e_lo, e_hi.
    radius_arcsec : float
        Largest distance, included.

    Raises
    ------
    InputError
        If the radius is not positive.
    """
    if not radius_arcsec > 0:
        raise InputError(f"The radius of a comparison must be positive, not {radius_arcsec}.")
    here = published["obsid"].isin(runs["obsid"])
    known = published[here].reset_index(drop=True)
    theirs = {str(obsid): rows for obsid, rows in known.groupby("obsid")}
    ours = {str(obsid): rows for obsid, rows in regions.groupby("obsid")}
    nothing_known, nothing_found = known[:0], regions[:0]
    searched = set(runs[["obsid", *RUN]].itertuples(index=False, name=None))
    blocks = [
        _compare_observation(
            theirs.get(obsid, nothing_known),
            ours.get(obsid, nothing_found),
            searched,
            radius_arcsec,
        )
        for obsid in sorted(theirs.keys() | ours.keys())
    ]
    rows = pd.concat(blocks, ignore_index=True) if blocks else _rows(nothing_known, "", None)
    rows = pd.concat([rows[rows["published_detid"].notna()], rows[rows["published_detid"].isna()]])
    rows = rows.reset_index(drop=True)
    is_found = rows["outcome"].isin([FOUND, OTHER_RUN])
    return Comparison(
        rows,
        int((~here).sum()),
        known["srcid"].nunique(),
        rows.loc[is_found, "published_srcid"].nunique(),
    )


def _compare_observation(
    known: pd.DataFrame,
    regions: pd.DataFrame,
    searched: set[tuple[str, float, float, float]],
    radius_arcsec: float,
) -> pd.DataFrame:
    """Rows of one observation, published detections first."""
    known, regions = known.reset_index(drop=True), regions.reset_index(drop=True)
    pairs = _pairs(known, regions, radius_arcsec)
    best = pairs.sort_values(["other_run", "sep_arcsec", "region"]).drop_duplicates("known")
    best = best.set_index("known").reindex(known.index)
    runs = known[["obsid", *RUN]].itertuples(index=False, name=None)
    missing = [LOST if run in searched else NOT_SEARCHED for run in runs]
    is_found = best["region"].notna()
    found = np.where(best["other_run"].eq(True), OTHER_RUN, FOUND)  # noqa: FBT003
    detids = regions["detid"].reindex(best["region"].fillna(-1).astype(int)).to_numpy()
    rows = _rows(known, np.where(is_found, found, missing), known)
    rows = rows.assign(detid=detids, sep_arcsec=best["sep_arcsec"].to_numpy())
    near = pairs.groupby("region")["other_run"].min()
    own = near.reindex(regions.index)
    new = regions[own.ne(False)]  # noqa: FBT003
    outcomes = np.where(own[new.index].isna(), NEW, NEW_RUN)
    return pd.concat([rows, _rows(new, outcomes, None).assign(detid=new["detid"].to_numpy())])


def _pairs(known: pd.DataFrame, regions: pd.DataFrame, radius_arcsec: float) -> pd.DataFrame:
    """Detections and regions within the radius: indices, other_run (bool) and sep_arcsec."""
    sides = []
    for rows in (known, regions):
        vectors = unit_vectors(rows["ra_deg"].to_numpy(float), rows["dec_deg"].to_numpy(float))
        index = np.flatnonzero(np.isfinite(vectors).all(axis=1))
        sides.append((index, vectors[index]))
    (of, points), (by, others) = sides
    if not len(of) or not len(by):
        return pd.DataFrame({"known": [], "region": [], "other_run": [], "sep_arcsec": []}).astype(
            {"known": int, "region": int, "other_run": bool}
        )
    near = near_pairs(points, others, radius_arcsec)
    i, j = of[near.i], by[near.j]
    kinds = [rows[list(RUN)].to_numpy(np.float64) for rows in (known, regions)]
    return pd.DataFrame(
        {
            "known": i,
            "region": j,
            "other_run": (kinds[0][i] != kinds[1][j]).any(axis=1),
            "sep_arcsec": angle(np.sqrt(near.squared)),
        }
    )


def _rows(rows: pd.DataFrame, outcome: object, published: pd.DataFrame | None) -> pd.DataFrame:
    """Rows of the result, without what is found."""
    nobody = pd.Series(None, index=rows.index, dtype=object)
    return pd.DataFrame(
        {
            "outcome": pd.Series(outcome, index=rows.index, dtype=object),
            "obsid": rows["obsid"],
            **{name: rows[name].astype(np.float64) for name in RUN},
            "published_detid": nobody if published is None else published["detid"],
            "published_srcid": nobody if published is None else published["srcid"],
            "detid": nobody,
            "ra_deg": rows["ra_deg"].astype(np.float64),
            "dec_deg": rows["dec_deg"].astype(np.float64),
            "sep_arcsec": np.nan,
        }
    )
