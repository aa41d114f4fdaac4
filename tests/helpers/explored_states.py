"""Random states of addresses of the explorer, and which rows they choose, by pandas."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from hypothesis import strategies as st

from exod.schemas.facets import BINS, MISSING
from helpers.explored import POINTINGS

Masks = Mapping[str, Callable[[pd.DataFrame], pd.Series]]

WHERE: Masks = {
    "ra_deg > 100": lambda rows: rows["ra_deg"] > 100,
    "not sigma_peak > 5": lambda rows: ~(rows["sigma_peak"] > 5),
    "sigma_peak != 3": lambda rows: rows["sigma_peak"].notna() & (rows["sigma_peak"] != 3),
    "isnull(sigma_peak) or dec_deg < 0": lambda rows: (
        rows["sigma_peak"].isna() | (rows["dec_deg"] < 0)
    ),
    "startswith(srcid, 'EXOD J0001') and filt_hot_pixel == False": lambda rows: (
        rows["srcid"].str.startswith("EXOD J0001") & ~rows["filt_hot_pixel"].astype(bool)
    ),
}
"""Conditions on columns that both tables have."""


def states(about: Mapping[str, Any]) -> st.SearchStrategy[dict[str, str]]:
    """States of an address for a table: a few facets, flags and conditions together."""

    def facet(one: Mapping[str, Any]) -> st.SearchStrategy[str]:
        if one["kind"] == "bins":
            ends = st.tuples(st.integers(0, BINS - 1), st.integers(0, BINS - 1)).map(sorted)
            return ends.map(lambda two: f"{two[0]}-{two[1]}")
        return codes(len(one["labels"]))

    def codes(size: int) -> st.SearchStrategy[str]:
        return st.lists(st.integers(0, size - 1), min_size=1, max_size=4).map(
            lambda found: ".".join(map(str, found))
        )

    shown = [one for one in about["facets"] if one["kind"] == "bins" or one["labels"]]
    choices: dict[str, st.SearchStrategy[str]] = {one["name"]: facet(one) for one in shown}
    choices |= dict.fromkeys(("flag", "noflag"), codes(len(about["flags"])))
    choices["where"] = st.sampled_from(sorted(WHERE))
    choices["obsid"] = st.sampled_from(["0700000001", "0700000001,0700000201", "0000000000"])
    choices["name"] = st.sampled_from(["J0001", "EXOD J00000", "nobody"])
    choices["cone"] = st.builds(
        lambda place, away, radius: f"{place[0] + away},{place[1] - away},{radius}",
        st.sampled_from(POINTINGS),
        st.floats(0, 0.1).map(lambda value: round(value, 4)),
        st.integers(0, 600),
    )
    names = st.lists(st.sampled_from(sorted(choices)), max_size=4, unique=True)
    return names.flatmap(lambda own: st.fixed_dictionaries({name: choices[name] for name in own}))


def chosen(rows: pd.DataFrame, about: Mapping[str, Any], state: Mapping[str, str]) -> np.ndarray:
    """Which rows of a table with its index (columns ``i.*``) a state chooses."""
    return np.logical_and.reduce([*_masks(rows, about, state).values()])


def _masks(
    rows: pd.DataFrame, about: Mapping[str, Any], state: Mapping[str, str]
) -> dict[str, np.ndarray]:
    """Which rows fulfil each facet that is chosen, the flags, and all conditions on columns."""
    found = {"": _fulfilled(rows, state)}
    for one in about["facets"]:
        text = state.get(one["name"], "")
        if text:
            codes = rows[f"i.{one['name']}"].to_numpy()
            if one["kind"] == "bins":
                low, high = map(int, text.split("-"))
                found[one["name"]] = (codes >= low) & (codes <= high)
            else:
                found[one["name"]] = np.isin(codes, [int(code) for code in text.split(".")])
    flags = rows["i.flags"].to_numpy(int)
    found["flags"] = np.ones(len(rows), bool)
    for name, wanted in (("flag", True), ("noflag", False)):
        for bit in filter(None, state.get(name, "").split(".")):
            found["flags"] &= (flags & 1 << int(bit) != 0) == wanted
    return found


def _fulfilled(rows: pd.DataFrame, state: Mapping[str, str]) -> np.ndarray:
    """Which rows fulfil the conditions on the columns of the table itself."""
    found = np.ones(len(rows), bool)
    if "where" in state:
        found = found & WHERE[state["where"]](rows)
    if "obsid" in state:
        own = "obsid" if "obsid" in rows else "best_obsid"
        found = found & rows[own].isin(state["obsid"].split(","))
    if "name" in state:
        found = found & rows["srcid"].str.startswith("EXOD " + state["name"].removeprefix("EXOD "))
    if "cone" in state:
        ra, dec, radius = map(float, state["cone"].split(","))
        found = found & (separations(rows, ra, dec) <= radius)
    return np.asarray(found, bool)


def separations(rows: pd.DataFrame, ra: float, dec: float) -> np.ndarray:
    """Separations in arcsec, by the length of the chord."""
    a, d = np.deg2rad(rows["ra_deg"]), np.deg2rad(rows["dec_deg"])
    places = np.stack([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    a, d = np.deg2rad(ra), np.deg2rad(dec)
    centre = np.array([np.cos(d) * np.cos(a), np.cos(d) * np.sin(a), np.sin(d)])
    chord = np.sqrt(((places - centre[:, None]) ** 2).sum(axis=0))
    return np.rad2deg(2 * np.arcsin(chord / 2)) * 3600


def counted(
    rows: pd.DataFrame, about: Mapping[str, Any], state: Mapping[str, str]
) -> dict[str, Any]:
    """What `exod.web.counting.facet_counts` should return."""
    masks = _masks(rows, about, state)
    missed = len(masks) - np.sum([*masks.values()], axis=0)

    def but_for(name: str) -> np.ndarray:
        own = masks.get(name, np.ones(len(rows), bool))
        return (missed == 0) | ((missed == 1) & ~own)

    facets = {}
    for one in about["facets"]:
        size = BINS if one["kind"] == "bins" else len(one["labels"])
        counts = np.bincount(
            rows[f"i.{one['name']}"].to_numpy()[but_for(one["name"])], minlength=256
        )
        facets[one["name"]] = [*counts[:size].tolist(), int(counts[MISSING])]
    flags = rows["i.flags"].to_numpy(int)[but_for("flags")]
    bits = [int((flags & 1 << bit != 0).sum()) for bit in range(len(about["flags"]))]
    return {"rows": int((missed == 0).sum()), "facets": facets, "flags": bits}
