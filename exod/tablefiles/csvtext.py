"""CSV as text: the one way in which exod writes it, safe to open in a spreadsheet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from exod.tablefiles.textcells import guarded

if TYPE_CHECKING:
    import pandas as pd


def csv_text(rows: pd.DataFrame, *, header: bool = True) -> str:
    r"""Rows as CSV, without their index; a missing value is an empty cell.

    A text that a spreadsheet would compute, as ``=1+1``, has an apostrophe before it
    (`exod.tablefiles.textcells.guarded`); what reads tables here takes it away again.

    Parameters
    ----------
    rows : DataFrame
        The rows.
    header : bool
        Whether a line with the names of the columns comes first.

    Examples
    --------
    >>> import pandas as pd
    >>> csv_text(pd.DataFrame({"target": ["=cmd", "Vega"], "n": [-1, 2]}))
    "target,n\n'=cmd,-1\nVega,2\n"
    """
    import pandas as pd

    def safe(cell: Any) -> Any:
        return guarded(cell) if isinstance(cell, str) else cell

    rows = rows.set_axis([safe(name) for name in rows.columns], axis="columns")
    texts = {
        name: rows[name].map(safe, na_action="ignore")
        for name in rows.columns
        if not pd.api.types.is_numeric_dtype(rows[name].dtype)
    }
    return rows.assign(**texts).to_csv(index=False, header=header, lineterminator="\n")
