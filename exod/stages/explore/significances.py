"""How significant sources were at earlier versions, kept from one making to the next."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from exod.archive.derived import Derived
from exod.archive.parquet import to_pandas
from exod.archive.questions.detections import Rows
from exod.archive.snapshot import Snapshot
from exod.errors import ArchiveError
from exod.schemas.explorer import SIGNIFICANCES
from exod.stages.explore.coverage import read_columns

_VALUES = ["sigma_peak", "sigma_eclipse"]


def significance_rows(snapshot: Snapshot, earlier: Derived | None) -> pd.DataFrame:
    """The significances of all sources as they were and are.

    Parameters
    ----------
    snapshot : Snapshot
        The archive; the search keeps nothing of its earlier versions.
    earlier : Derived, optional
        The product as it was made before; what it knows of earlier versions stays.

    Returns
    -------
    DataFrame
        Rows of `exod.schemas.explorer.SIGNIFICANCES`.
    """
    now = read_columns(Rows(snapshot, "sources"), "region_num", *_VALUES)
    changes = read_columns(Rows(snapshot, "lineage"), "generation")["generation"]
    return with_news(_read(snapshot, earlier), now, int(changes.max()) if len(changes) else 0)


def with_news(before: pd.DataFrame, now: pd.DataFrame, generation: int) -> pd.DataFrame:
    """The rows of earlier generations, and one of each source that is not as it was at the last.

    Parameters
    ----------
    before : DataFrame
        Rows of `exod.schemas.explorer.SIGNIFICANCES`; those of this generation are left out.
    now : DataFrame
        region_num, sigma_peak, sigma_eclipse.
    generation : int
        That of `now`.
    """
    before = before[before["generation"] < generation].sort_values(list(SIGNIFICANCES.sort_by))
    last = before.drop_duplicates("region_num", keep="last").set_index("region_num")
    known = last[_VALUES].reindex(now["region_num"])
    same = now["region_num"].isin(last.index)
    for name in _VALUES:
        was, value = known[name].to_numpy(float), now[name].to_numpy(float)
        same &= (was == value) | (np.isnan(was) & np.isnan(value))
    news = now[~same].assign(generation=generation)
    rows = pd.concat([before, news], ignore_index=True) if len(before) else news
    return SIGNIFICANCES.frame(rows.sort_values(list(SIGNIFICANCES.sort_by), ignore_index=True))


def _read(snapshot: Snapshot, earlier: Derived | None) -> pd.DataFrame:
    files = earlier.of(SIGNIFICANCES.name) if earlier else []
    parts = [SIGNIFICANCES.frame()]
    try:
        for file in files:
            with snapshot.store.open(file.path, file.stored.seal) as source:
                parts.append(to_pandas(pq.read_table(source)))
    except (ArchiveError, OSError, pa.ArrowException):
        # A product that is damaged is made anew; what it alone knew is lost with it.
        return parts[0]
    return parts[-1]
