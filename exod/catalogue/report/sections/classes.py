"""Sections about the object types of SIMBAD: sub-classes, types, separations of each."""

from __future__ import annotations

from exod.catalogue.report.inputs import CATALOGUES
from exod.catalogue.report.numbers import Numbers
from exod.catalogue.report.objecttypes import FEW, ObjectTypes
from exod.catalogue.report.page import Blocks, Cell, Listing, Text
from exod.catalogue.report.words import Pictures, drawn, keyed, missing, share, unmatched
from exod.errors import plural

TYPES_LISTED = 40
"""Object types that are listed; the others are counted together."""


def object_types(numbers: Numbers, pictures: Pictures) -> Blocks:
    """Sub-classes and object types of SIMBAD in each sample."""
    found = numbers.types
    if found is None:
        return [unmatched(numbers, CATALOGUES["simbad"], "an object type")]
    first = found.samples.iloc[0]
    if not found.samples["typed"].any():
        return [Text("No source has a counterpart in SIMBAD.", missing=True)]
    text = (
        f"{first['typed']:,} of {plural(int(first['sources']), 'source')} "
        f"({share(first['typed'], first['sources'])}) have a counterpart in SIMBAD, of "
        f"{plural(int((found.types['EXOD'] > 0).sum()), 'type')}. EXOD are the sources of the "
        "archive. Numbers are of sources, those "
        "in brackets shares of the sources of the column. Sub-classes are those of the table "
        "`catalogs/simbad_types.csv` of exod, which also has the names."
    )
    return [
        Text(text),
        *_what_is_missing(numbers, found),
        *drawn(pictures, "types", "Bars: sources by their commonest SIMBAD types, by sub-class."),
        Listing.of("Sources by sub-class", _class_rows(found)),
        Listing.of("Sources by SIMBAD type", _type_rows(found)),
    ]


def _what_is_missing(numbers: Numbers, found: ObjectTypes) -> Blocks:
    """Which samples there are not, and the commands that make them."""
    blocks: Blocks = []
    if "EXOD in 4XMM" not in found.samples.index:
        text = "Which of them are known to 4XMM, and variable there, is not known"
        name = CATALOGUES["xmm"]
        blocks.append(missing(text, "crossmatch", numbers, f"--with {name}=FILE"))
    elif "EXOD variable in 4XMM" not in found.samples.index:
        blocks.append(unmatched(numbers, CATALOGUES["xmm"], "the column SC_VAR_FLAG"))
    if "xmm" not in numbers.given:
        text = "The types of all sources of 4XMM and of its variable ones are not compared"
        remark = " with a table of 4XMM that has a column otype or main_type of SIMBAD"
        blocks.append(missing(text, "report", numbers, "--xmm FILE", remark))
    elif "4XMM" not in found.samples.index:
        text = (
            "The table of 4XMM that was given has no object types (column otype or main_type): "
            "match it with SIMBAD first, for instance with the X-Match of the CDS in TOPCAT."
        )
        blocks.append(Text(text, missing=True))
    return blocks


def _class_rows(found: ObjectTypes) -> list[dict[str, Cell]]:
    names = list(found.samples.index)
    sizes = found.samples["sources"]
    rows: list[dict[str, Cell]] = [
        {"Sub-class": name, **{one: _counted(row[one], int(sizes[one])) for one in names}}
        for name, row in keyed(found.classes)
    ]
    without = found.samples["sources"] - found.samples["typed"]
    rows.append(
        {
            "Sub-class": "No counterpart in SIMBAD",
            **{one: _counted(int(without[one]), int(sizes[one])) for one in names},
        }
    )
    rows.append({"Sub-class": "All", **{one: f"{int(sizes[one]):,}" for one in names}})
    return rows


def _counted(n: int, total: int) -> str:
    return f"{n:,} ({share(n, total)})" if total else "–"


def _type_rows(found: ObjectTypes) -> list[dict[str, Cell]]:
    names = list(found.samples.index)
    rows: list[dict[str, Cell]] = [
        {"Type": name, "Sub-class": row["class"], **{one: row[one] for one in names}}
        for name, row in keyed(found.types.head(TYPES_LISTED))
    ]
    others = found.types.iloc[TYPES_LISTED:]
    if len(others):
        rest = {one: int(others[one].sum()) for one in names}
        rows.append({"Type": plural(len(others), "other type"), "Sub-class": "", **rest})
    return rows


def type_separations(numbers: Numbers, pictures: Pictures) -> Blocks:
    """Separations of the counterparts by sub-class and type."""
    found = numbers.types
    if found is None:
        return [unmatched(numbers, CATALOGUES["simbad"], "an object type")]
    if found.separations.empty:
        return [Text("No source has a counterpart in SIMBAD.", missing=True)]
    text = (
        "Separations of the sources from their counterparts in SIMBAD. Types with counterparts far "
        "away are extended (galaxies, clusters, nebulae), or by chance."
    )
    if found.few:
        text += (
            f" {plural(found.few, 'type')} with fewer than {FEW} counterparts "
            f"{'is' if found.few == 1 else 'are'} counted in the sub-classes only."
        )
    rows: list[dict[str, Cell]] = [
        {
            "What": {"class": "Sub-class", "type": "Type"}[str(row["kind"])],
            "Name": str(row["name"]),
            "Counterparts": int(row["n"]),
            "Mean (″)": float(row["mean"]),
            "Std. dev. (″)": float(row["std"]),
            "16 % (″)": float(row["p16"]),
            "Median (″)": float(row["p50"]),
            "84 % (″)": float(row["p84"]),
        }
        for row in found.separations.to_dict("records")
    ]
    alternative = "Points with bars: median separation of each sub-class and type, 16 to 84 %."
    return [
        Text(text),
        *drawn(pictures, "type_separations", alternative),
        Listing.of("Separations from counterparts in SIMBAD", rows),
    ]
