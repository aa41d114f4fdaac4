"""A selection that is exported, and how other programs read its files."""

from __future__ import annotations

import io
from collections.abc import Callable

import pandas as pd
from astropy.table import Table

QUERY = "table=detections&sigma=20-63&sort=-duration&noflag=4"
READ: dict[str, Callable[[bytes], Table]] = {
    "csv": lambda content: Table.from_pandas(pd.read_csv(io.BytesIO(content))),
    "ecsv": lambda content: Table.read(content.decode(), format="ascii.ecsv"),
    "vot": lambda content: Table.read(io.BytesIO(content), format="votable"),
    "fits": lambda content: Table.read(io.BytesIO(content), format="fits"),
    "parquet": lambda content: Table.from_pandas(pd.read_parquet(io.BytesIO(content))),
}
