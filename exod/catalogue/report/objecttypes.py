"""Numbers of the report about the object types that SIMBAD gives to counterparts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from exod.schemas.arrays import Floats

CLASSES: Final = (
    "Star",
    "Compact object or explosion",
    "Active galaxy",
    "Galaxy",
    "Interstellar matter",
    "Unidentified",
)
"""Sub-classes of object types, in the order in which they are told."""

UNKNOWN: Final = "Not in the table of types"
"""Sub-class of types that the table does not have."""

FEW: Final = 10
"""Types with fewer counterparts than this have no separations of their own."""

PERCENTILES: Final = (16, 50, 84)
"""Of the separations of a type."""


@dataclass(frozen=True)
class ObjectTypes:
    """Object types in some samples of sources.

    Attributes
    ----------
    samples : DataFrame of int64
        Index sample; columns sources, and typed (those with a type).
    types : DataFrame
        Index long name; the column class, and one of int64 for each sample. The commonest in the
        first sample come first.
    classes : DataFrame of int64
        Index sub-class (`CLASSES`, and `UNKNOWN` if there are any), a column a sample.
    separations : DataFrame
        From `type_separations`.
    few : int
        Types that have fewer than `FEW` counterparts.
    """

    samples: pd.DataFrame
    types: pd.DataFrame
    classes: pd.DataFrame
    separations: pd.DataFrame
    few: int


def type_names(table: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Long name and sub-class of object types, by all that SIMBAD calls or called them.

    Parameters
    ----------
    table : DataFrame of str
        otype, label, candidate and former (codes and labels; empty if none), name and class.

    Examples
    --------
    >>> columns = ["otype", "label", "candidate", "former", "name", "class"]
    >>> row = ["XB*", "XrayBin", "XB?", "XB", "X-ray binary", "Compact object or explosion"]
    >>> names = type_names(pd.DataFrame([row], columns=columns))
    >>> names["XrayBin_Candidate"][0], names["XB"] == names["XB*"]
    ('X-ray binary (candidate)', True)
    """
    found: dict[str, tuple[str, str]] = {}
    order = ["otype", "label", "candidate", "former", "name", "class"]
    for otype, label, candidate, former, name, kind in table[order].itertuples(index=False):
        own, possible = (name, kind), (f"{name} (candidate)", kind)
        labels = {text for text in (otype, label, former) if text}
        for text in labels:
            found.setdefault(text, own)
            for written in (f"{text}_Candidate", f"Candidate_{text}"):
                found.setdefault(written, possible)
        if candidate:
            found[candidate] = possible
    return found


def named_types(types: pd.Series, names: Mapping[str, tuple[str, str]]) -> pd.DataFrame:
    """Long name and sub-class of each type.

    Parameters
    ----------
    types : Series of str
        As SIMBAD gives them; missing or empty without a counterpart.
    names : dict
        From `type_names`.

    Returns
    -------
    DataFrame
        name and class, with the index of `types`; None where there is no type. A type that is not
        known keeps its own name and is of the class `UNKNOWN`.
    """
    known: dict[str, tuple[str | None, str | None]] = {"": (None, None)}
    texts = [str(text).strip() for text in types.fillna("")]
    for text in set(texts) - {""}:
        known[text] = names.get(text, (text, UNKNOWN))
    found = [known[text] for text in texts]
    return pd.DataFrame(found, index=types.index, columns=["name", "class"], dtype=object)


def describe_types(
    samples: Mapping[str, pd.DataFrame], separation_arcsec: ArrayLike
) -> ObjectTypes:
    """Count object types in samples.

    Parameters
    ----------
    samples : dict of str to DataFrame
        From `named_types`, a row a source, by the name of the sample.
    separation_arcsec : array_like
        Of the sources of the first sample from their counterparts.
    """
    first = next(iter(samples))
    types = pd.DataFrame({name: _counts(rows["name"]) for name, rows in samples.items()})
    types = types.fillna(0).astype("int64")
    kinds = pd.concat([rows.dropna() for rows in samples.values()])
    kind_of = dict(zip(kinds["name"], kinds["class"], strict=True))
    types.insert(0, "class", [kind_of[name] for name in types.index])
    types = types.rename_axis("name").reset_index()
    types = types.sort_values([*samples, "name"], ascending=[*[False] * len(samples), True])
    types = types.set_index("name")
    classes = types.groupby("class")[list(samples)].sum()
    listed = [*CLASSES, *([UNKNOWN] if UNKNOWN in classes.index else [])]
    classes = classes.reindex(listed, fill_value=0).astype("int64")
    sizes = {name: (len(rows), int(rows["name"].notna().sum())) for name, rows in samples.items()}
    return ObjectTypes(
        samples=pd.DataFrame(sizes, index=["sources", "typed"]).T,
        types=types,
        classes=classes.rename_axis(None),
        separations=type_separations(samples[first], np.asarray(separation_arcsec, float)),
        few=int(((types[first] > 0) & (types[first] < FEW)).sum()),
    )


def _counts(names: pd.Series) -> pd.Series:
    return names.dropna().astype(str).value_counts()


def type_separations(types: pd.DataFrame, separation_arcsec: Floats) -> pd.DataFrame:
    """Separations of the counterparts of each sub-class, and of each type that is common enough.

    Parameters
    ----------
    types : DataFrame
        From `named_types`.
    separation_arcsec : ndarray of float64, shape (n,)
        Of each; NaN without a counterpart.

    Returns
    -------
    DataFrame
        Columns kind ("class" or "type"), name, n, mean, std (sample standard deviation; NaN of
        one), p16, p50, p84; arcsec. Sub-classes first, in their order, then types of at least
        `FEW` counterparts, the nearest first by their median.
    """
    known = np.isfinite(separation_arcsec) & types["name"].notna().to_numpy()
    own, values = types[known], pd.Series(separation_arcsec[known])
    rows = []
    for kind, column in (("class", "class"), ("type", "name")):
        rows += [
            {"kind": kind, "name": name, "n": len(some), "mean": some.mean(), "std": some.std()}
            | {f"p{q}": np.percentile(some, q) for q in PERCENTILES}
            for name, some in values.groupby(own[column].to_numpy())
            if kind == "class" or len(some) >= FEW
        ]
    order: list[Any] = [*CLASSES, UNKNOWN]
    places = [order.index(row["name"]) if row["kind"] == "class" else row["p50"] for row in rows]
    ordered = sorted(zip(rows, places, strict=True), key=lambda pair: (pair[0]["kind"], pair[1]))
    columns = ["kind", "name", "n", "mean", "std", *(f"p{q}" for q in PERCENTILES)]
    return pd.DataFrame([row for row, _ in ordered], columns=columns)
