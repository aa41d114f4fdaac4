"""What became of sources: the rows of the table lineage."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from exod.schemas.arrays import Mask
from exod.schemas.derived import LINEAGE
from exod.sky.healpix import sky_pixels
from exod.sky.sphere import positions
from exod.sources.identities import Earlier, Identities

ENDED: Final = ("merged", "gone", "unobserved")
"""Changes after which a source has no regions."""

RARE: Final = ("adopted", "renamed", "unobserved")
"""Changes that only names of other catalogues and a change of names make."""

CHANGES: Final = ("new", "merged", "split", "gone", "returned", "adopted", "renamed", "unobserved")


def begun(about: pd.DataFrame, found: Identities, earlier: Earlier, inside: Mask) -> pd.DataFrame:
    """Lineage of clusters that are new, split off, or a source that had ended."""
    returned = found.source >= 0
    returned[returned] = ~earlier.alive[found.source[returned]]
    split = (found.split_from >= 0) & ((found.source < 0) | returned)
    new = (found.source < 0) & ~split
    parts = []
    for change, which in (("new", new), ("split", split), ("returned", returned)):
        rows = which & inside
        other = found.split_from[rows] if change == "split" else -1
        parts.append(about[rows].assign(other=other, change=change))
    return pd.concat(parts, ignore_index=True)


def renamed(
    about: pd.DataFrame,
    found: Identities,
    names: NDArray[np.object_],
    inside: Mask,
    *,
    is_adopted: bool,
) -> pd.DataFrame:
    """Lineage of sources of another catalogue, and of those that have another name now."""
    rows = (found.source >= 0) & inside
    if is_adopted:
        return about[rows].assign(other=-1, change="adopted")
    rows[rows] = about["srcid"].to_numpy(object)[rows] != names[found.source[rows]]
    return about[rows].assign(other=-1, change="renamed")


def ended(
    found: Identities,
    earlier: Earlier,
    names: NDArray[np.object_],
    inside: Mask,
    observed: Mask | None = None,
) -> pd.DataFrame:
    """Lineage of sources that have no regions any more.

    Of sources of another catalogue, `observed` says where something was observed, shape
    (n_sources,): the others are not gone, but nobody looked.
    """
    rows = np.flatnonzero(earlier.alive & (found.cluster < 0) & inside)
    ra, dec = positions(earlier.vectors[rows])
    other = found.merged_into[rows]
    about = {"region_num": earlier.region_num[rows], "srcid": names[rows], "other": other}
    change = np.where(other >= 0, "merged", "gone").astype(object)
    if observed is not None:
        change[(other < 0) & ~observed[rows]] = "unobserved"
    return pd.DataFrame({**about, "ra_deg": ra, "dec_deg": dec, "change": change})


def lineage_rows(before: pd.DataFrame, new: pd.DataFrame, bounds: Sequence[int]) -> pd.DataFrame:
    """Rows of the table lineage: the earlier ones of the part, and the new ones."""
    if len(before):
        places = sky_pixels(before["ra_deg"], before["dec_deg"])
        before = before[(places >= bounds[0]) & (places < bounds[1])]
    return LINEAGE.frame(pd.concat([before, new], ignore_index=True) if len(before) else new)
