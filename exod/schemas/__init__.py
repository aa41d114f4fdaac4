"""Every table of the archive, declared once: columns with dtype, unit and meaning.

The Parquet schemas, FITS headers and the data model page all come from these declarations:
those of the search in `exod.schemas.search`, what is derived from them in `exod.schemas.derived`.
"""

from exod.schemas.columns import FORMAT_VERSION, Column, Table
from exod.schemas.derived import DERIVED, FEATURES, FLAGS, LINEAGE, MATCH, MEMBERS, UNIQUE
from exod.schemas.frames import FRAMES, OFFSETS, POSITIONS
from exod.schemas.search import (
    BTI,
    CELLS,
    EXPOSURES,
    HOT_PIXELS,
    IMAGES,
    KNOWN_SOURCES,
    LIGHTCURVES,
    OBSERVATIONS,
    RATES,
    REGIONS,
    RUNS,
    TABLES,
)

__all__ = [
    "BTI",
    "CELLS",
    "DERIVED",
    "EXPOSURES",
    "FEATURES",
    "FLAGS",
    "FORMAT_VERSION",
    "FRAMES",
    "HOT_PIXELS",
    "IMAGES",
    "KNOWN_SOURCES",
    "LIGHTCURVES",
    "LINEAGE",
    "MATCH",
    "MEMBERS",
    "OBSERVATIONS",
    "OFFSETS",
    "POSITIONS",
    "RATES",
    "REGIONS",
    "RUNS",
    "TABLES",
    "UNIQUE",
    "Column",
    "Table",
]
