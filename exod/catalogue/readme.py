"""What a release says about itself: README, the meaning of every column, the list of files."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from exod.catalogue.checks import ReleaseCheck
from exod.catalogue.columns import LIGHT_CURVE, CatalogueTable
from exod.errors import plural
from exod.schemas.columns import Column

MANIFEST = "MANIFEST.json"
KIND = "exod catalogue"
"""What a manifest says that it is of."""


@dataclass(frozen=True)
class Facts:
    """What is said of a release.

    Attributes
    ----------
    created : str
        UTC.
    exod : str
        Version of exod.
    archive, fingerprint : str
        Where the results are, and the fingerprint of the settings that they were found with.
    products : dict of str to str
        Versions of the products of the archive that it was made of.
    rows : dict of str to int
        Rows by table.
    observations : int
        Observations that were searched.
    telescopes, cameras : str
        Of which observatories they are, and their cameras.
    without_source : int
        Regions that have no source and are left out.
    without_hats : str
        Why there is no HATS catalogue; empty if there is one.
    """

    created: str
    exod: str
    archive: str
    fingerprint: str
    products: Mapping[str, str]
    rows: Mapping[str, int]
    observations: int
    telescopes: str
    cameras: str
    without_source: int
    without_hats: str


def readme(facts: Facts, checks: Iterable[ReleaseCheck], further: Iterable[str] = ()) -> str:
    """The text of README.md; `further` are files that other parts of exod wrote."""
    hats = _OPEN_HATS if not facts.without_hats else f"There is no HATS: {facts.without_hats}\n"
    numbers = ", ".join(plural(n, name.removesuffix("s")) for name, n in facts.rows.items())
    products = "\n".join(f"* {name}: {version}" for name, version in facts.products.items())
    left = ""
    if facts.without_source:
        number = facts.without_source
        left = f"Regions without a position belong to no source and are left out: {number:,}.\n"
    also = "".join(f"{_code(name)} is there too.\n" for name in further)
    told = "\n".join(f"* {_plain(check.what)}." for check in checks)
    return f"""\
# Catalogue of fast X-ray transients and variables

{numbers} of {plural(facts.observations, "observation")} by {facts.telescopes}.
Made {facts.created} by exod {facts.exod} from {_code(facts.archive)}
(settings {facts.fingerprint}).
{left}
## Tables

* `detections`: a row for each variable region of each run; `detid` names it.
* `sources`: a row for each unique source; `region_num` numbers and `srcid` names it, and
  `unique_reg_id` of a detection is its `region_num`. Cross-matches follow with their prefixes;
  they are null where there is no counterpart.

Both are there as `.fits` and as `.parquet`. `columns.md` tells unit and meaning of each column,
`{MANIFEST}` the size and checksum of each file. In FITS missing whole numbers are TNULL, missing
text is empty and text is ASCII; a true or false that may be missing is 1, 0 or TNULL.
{also}
```python
from astropy.table import Table

sources = Table.read("sources.fits")
```

{hats}
## Made of

{products}

## Checks

All of these were made, and hold:

{told}
"""


_OPEN_HATS = """\
`hats` has the sources in HATS, with their `detections` and the `lightcurve` of their most
significant one (`best_detid`) nested in them. `hats/detections` has every detection with its
`lightcurve`. Both have margins, so that cross-matches within 60 arcsec are right everywhere.

```python
import lsdb

sources = lsdb.open_catalog("hats")
detections = lsdb.open_catalog("hats/detections", columns=["detid", "ra_deg", "dec_deg"])
```
"""


def column_page(tables: Iterable[CatalogueTable]) -> str:
    """The text of columns.md."""
    parts = ["# Columns\n"]
    for table in tables:
        rows = _page(table.columns)
        parts.append(f"## {table.name}\n\n{_plain(table.description)}.\n\n{rows}")
    text = "Frames of a light curve, in the nested column `lightcurve` of the HATS catalogues."
    parts.append(f"## lightcurve\n\n{text}\n\n{_page(LIGHT_CURVE)}")
    return "\n".join(parts)


def _page(columns: Iterable[Column]) -> str:
    lines = ["| Column | Type | Unit | UCD | Meaning |", "|---|---|---|---|---|"]
    for column in columns:
        null = ", may be null" if column.nullable else ""
        told = (column.name, f"{column.type}{null}", column.unit, column.ucd, column.description)
        lines.append(f"| {' | '.join(map(_plain, told))} |")
    return "\n".join(lines) + "\n"


def _plain(text: str) -> str:
    r"""Text that Markdown shows as it is, in one line: names and units may be those of users.

    Examples
    --------
    >>> print(_plain("ra_deg|b <b> [c](d)"))
    ra_deg\|b \<b\> \[c\](d)
    """
    signs = r"([\\`*\[\]<>|&~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))"
    return re.sub(signs, r"\\\1", _one_line(text))


def _code(text: str) -> str:
    """Text as code of Markdown, whatever is in it.

    Examples
    --------
    >>> print(_code("a`b"), _code("results"))
    `` a`b `` `results`
    """
    text = _one_line(text)
    if "`" not in text:
        return f"`{text}`"
    fence = "`" * (1 + max(map(len, re.findall("`+", text))))
    return f"{fence} {text} {fence}"


def _one_line(text: str) -> str:
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", text).split())


def manifest(folder: Path, facts: Facts) -> str:
    """The text of the manifest: the facts, and each file with size and checksum."""
    files = {
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": _checksum(path),
        }
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }
    return json.dumps({"kind": KIND, **asdict(facts), "files": files}, indent=1) + "\n"


def is_release(folder: Path) -> bool:
    """Whether a folder is a catalogue that exod made."""
    try:
        found: Any = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("kind") == KIND


def _checksum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
