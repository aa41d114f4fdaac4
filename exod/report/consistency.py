"""Whether the tables of an archive agree with one another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd


@dataclass(frozen=True)
class Consistency:
    """One check.

    Attributes
    ----------
    name : str
        What should hold.
    passed : bool
        Whether it does.
    detail : str
        Numbers behind the answer.
    """

    name: str
    passed: bool
    detail: str


def check_searches(
    entries: Mapping[str, int], runs: pd.DataFrame, regions: pd.DataFrame
) -> list[Consistency]:
    """Compare ledger, runs and regions.

    Parameters
    ----------
    entries : dict of str to int
        Regions of each observation as the ledger has them.
    runs : DataFrame
        With runid, obsid and n_regions.
    regions : DataFrame
        With detid, runid and obsid.
    """
    found = regions["obsid"].astype(str).value_counts()
    ledger = pd.Series(entries, dtype="int64")
    of_run = regions["runid"].astype(str).value_counts()
    declared = pd.Series(runs["n_regions"].to_numpy("int64"), index=runs["runid"].astype(str))
    unknown = ~regions["runid"].isin(runs["runid"])
    return [
        _unique("Every region has an identifier of its own", regions["detid"], "region"),
        _unique("Every run is there once", runs["runid"], "run"),
        _none(
            "The ledger counts the regions that are in the table",
            int((ledger.sub(found, fill_value=0) != 0).sum()),
            f"{len(ledger):,} observations, {len(regions):,} regions",
            "observations differ",
        ),
        _none(
            "Every run counts the regions that are in the table",
            _differences(declared, of_run),
            f"{len(runs):,} runs",
            "runs differ",
        ),
        _none(
            "Every region belongs to a run",
            int(unknown.sum()),
            f"{len(regions):,} regions",
            "regions have no run",
        ),
    ]


def _differences(one: pd.Series, other: pd.Series) -> int:
    # An identifier that is there twice is found by another check; here it must not stop us.
    one = one[~one.index.duplicated()]
    return int((one.sub(other, fill_value=0) != 0).sum())


def check_sources(
    unique: pd.DataFrame, members: pd.DataFrame, detids: pd.Series
) -> list[Consistency]:
    """Compare unique sources, their members and the regions.

    Parameters
    ----------
    unique : DataFrame
        With region_num, srcid, n_detections and best_detid.
    members : DataFrame
        With detid, region_num and srcid.
    detids : Series of str
        Identifiers of all regions.
    """
    counted = members["region_num"].value_counts()
    declared = pd.Series(
        unique["n_detections"].to_numpy("int64"), index=unique["region_num"].to_numpy()
    )
    names = members.merge(
        unique[["region_num", "srcid"]].drop_duplicates("region_num"),
        on="region_num",
        suffixes=("", "_source"),
    )
    n_members, n_sources = f"{len(members):,} members", f"{len(unique):,} sources"
    return [
        _unique("Every source has a number of its own", unique["region_num"], "source"),
        _unique("Every source has a name of its own", unique["srcid"], "source"),
        _none(
            "Every member belongs to a source",
            int((~members["region_num"].isin(unique["region_num"])).sum()),
            n_members,
            "members have no source",
        ),
        _unique("Every region is a member of one source only", members["detid"], "member"),
        _none(
            "Members and sources have the same names",
            int((names["srcid"].astype(str) != names["srcid_source"].astype(str)).sum()),
            n_members,
            "names differ",
        ),
        *check_rows("member of a source", members["detid"], detids),
        _none(
            "Every source counts its members",
            _differences(declared, counted),
            n_sources,
            "sources differ",
        ),
        _none(
            "The best region of every source is one of its members",
            _best_elsewhere(unique, members),
            n_sources,
            "sources name another",
        ),
    ]


def _best_elsewhere(unique: pd.DataFrame, members: pd.DataFrame) -> int:
    own = members.rename(columns={"detid": "best_detid"})
    pairs = unique[["region_num", "best_detid"]].astype({"best_detid": "str"})
    own = own[["region_num", "best_detid"]].astype({"best_detid": "str"}).drop_duplicates()
    return len(pairs) - len(pairs.merge(own, on=["region_num", "best_detid"]))


def check_rows(what: str, own: pd.Series, detids: pd.Series) -> list[Consistency]:
    """Compare the rows of a table that has one row a region with the regions.

    Parameters
    ----------
    what : str
        What a row is, as "row of features".
    own, detids : Series of str
        Identifiers in that table, and of the regions.
    """
    missing, foreign = int((~detids.isin(own)).sum()), int((~own.isin(detids)).sum())
    return [
        _none(f"Every region is a {what}", missing, f"{len(detids):,} regions", "regions are not"),
        _none(f"Every {what} is a region", foreign, f"{len(own):,} rows", "rows have no region"),
    ]


def check_features(product: str, own: pd.Series, detids: pd.Series) -> list[Consistency]:
    """Compare features or flags with the regions: the same identifiers, each once."""
    return [
        *check_rows(f"row of {product}", own, detids),
        _unique(f"Every row of {product} is there once", own, "row"),
    ]


def check_matches(catalogue: str, own: pd.Series, sources: pd.Series) -> list[Consistency]:
    """Compare a cross-match with the sources, by their numbers.

    Parameters
    ----------
    catalogue : str
        Its name.
    own, sources : Series of int
        region_num of the cross-match and of the unique sources.
    """
    missing, foreign = int((~sources.isin(own)).sum()), int((~own.isin(sources)).sum())
    rows = f"{len(own):,} rows"
    return [
        _none(f"Every source was matched with {catalogue}", missing, rows, "sources were not"),
        _none(f"Every row of {catalogue} is of a source", foreign, rows, "rows have no source"),
        _unique(f"Every row of {catalogue} is there once", own, "row"),
    ]


def failed(checks: Iterable[Consistency]) -> int:
    """How many checks did not pass."""
    return sum(not check.passed for check in checks)


def _none(name: str, wrong: int, number: str, text: str) -> Consistency:
    return Consistency(name, wrong == 0, f"{number}; {wrong:,} {text}" if wrong else number)


def _unique(name: str, values: pd.Series, noun: str) -> Consistency:
    return _none(name, int(values.duplicated().sum()), f"{len(values):,} {noun}s", "are repeated")
