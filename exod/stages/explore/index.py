"""The index of the explorer: a byte a facet, single precision where rows are sorted by it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from astropy.coordinates import SkyCoord

from exod.catalogue.columns import BEST
from exod.schemas import FLAGS
from exod.schemas.columns import Table
from exod.schemas.facets import FACETS, MISSING, SORTABLE, Facet
from exod.sky.healpix import sky_pixels
from exod.sky.sphere import unit_vectors
from exod.stages.explore.density import DENSITY_ORDER

ORDER: Final = 6
"""Of the HEALPix pixels that the sky map counts in."""

FLAG_NAMES: Final = tuple(
    column.name for column in FLAGS.columns if column.name.startswith("filt_")
)
"""The flags, in the order of the bits of the mask."""

_FLAG_LABELS: Final = {"labels": json.dumps(FLAG_NAMES)}

MOST_CODES: Final = 254

TYPES_OF_COUNTERPARTS: Final = frozenset(("otype", "type", "class", "kind", "prediction"))
"""What columns of catalogues are called that tell what an object is."""

_APART: Final = "_sep_arcsec"


def sky_pixel(rows: pa.RecordBatch) -> np.ndarray:
    """The HEALPix pixel of `DENSITY_ORDER` of each row, nested, int64."""
    return sky_pixels(rows["ra_deg"].to_numpy(), rows["dec_deg"].to_numpy(), DENSITY_ORDER)


@dataclass(frozen=True)
class IndexTable:
    """What the index of a table holds.

    Attributes
    ----------
    facets : tuple of (Facet, str)
        The facets, and the column of each.
    labels : dict of str to list
        The values that have codes, by facet.
    numbers : tuple of str
        Columns that it has in single precision, with ``_f4`` after their names.
    """

    facets: tuple[tuple[Facet, str], ...]
    labels: Mapping[str, Sequence[Any]]
    numbers: tuple[str, ...]

    @classmethod
    def of(cls, table: Table, labels: Mapping[str, Sequence[Any]]) -> IndexTable:
        """The index of a table, of whose facets with codes the values are given."""
        there = {column.name for column in table.columns} | {"#latitude"}
        found = []
        for facet in (*FACETS[table.name], *_counterparts(table)):
            own = next((name for name in facet.column.split("|") if name in there), "")
            if own and (facet.kind == "bins" or facet.name in labels):
                found.append((facet, own))
        best = (next((n for n in _names(name) if n in there), "") for name in SORTABLE)
        return cls(tuple(found), labels, tuple(filter(None, best)))

    @property
    def schema(self) -> pa.Schema:
        """The columns of the index; edges and labels are in the metadata of each facet."""
        edges = {facet.name: json.dumps(self.described(facet)) for facet, _ in self.facets}
        fields = [
            # A browser reads what is never missing as it is.
            *(
                pa.field(name, pa.uint8(), nullable=False, metadata={"facet": about})
                for name, about in edges.items()
            ),
            pa.field("flags", pa.uint16(), nullable=False, metadata=_FLAG_LABELS),
            pa.field("hp6", pa.uint16(), nullable=False),
            *(pa.field(f"{name}_f4", pa.float32()) for name in self.numbers),
        ]
        return pa.schema(fields)

    def described(self, facet: Facet) -> dict[str, Any]:
        """A facet in words that a browser reads."""
        column = next(own for one, own in self.facets if one == facet)
        about = {"name": facet.name, "label": facet.label, "kind": facet.kind, "column": column}
        if facet.kind == "codes":
            return {**about, "labels": list(self.labels[facet.name])}
        return {**about, "edges": facet.edges.tolist(), "log": facet.log}

    def rows(self, rows: pa.Table, pixel: np.ndarray) -> pa.Table:
        """The rows of the index, whose pixels are of `DENSITY_ORDER`."""
        columns: list[Any] = []
        for facet, own in self.facets:
            if facet.kind == "codes":
                columns.append(_codes(rows[own], self.labels[facet.name]))
            else:
                values = _latitude(rows) if own == "#latitude" else _floats(rows[own])
                columns.append(facet.binned(values))
        columns += [_mask(rows), (pixel >> 2 * (DENSITY_ORDER - ORDER)).astype(np.uint16)]
        columns += [rows[own].cast(pa.float32()) for own in self.numbers]
        return pa.Table.from_arrays(list(map(_column, columns)), schema=self.schema)


class Labels:
    """The values of the facets of a table that have codes, gathered while its rows pass.

    Parameters
    ----------
    table : Table
        The table.
    """

    def __init__(self, table: Table) -> None:
        names = {column.name for column in table.columns}
        facets = (f for f in (*FACETS[table.name], *_counterparts(table)) if f.kind == "codes")
        own = {f.name: next((n for n in f.column.split("|") if n in names), "") for f in facets}
        self._columns = {name: column for name, column in own.items() if column}
        self._values: dict[str, set[Any]] = {name: set() for name in self._columns}

    def seen(self, chunks: Iterable[pa.Table]) -> Iterator[pa.Table]:
        """The same rows."""
        for chunk in chunks:
            for name, values in self._values.items():
                if len(values) <= MOST_CODES:
                    own = pc.unique(chunk[self._columns[name]]).to_pylist()
                    values.update(set(own) - {None, ""})
            yield chunk

    @property
    def found(self) -> dict[str, list[Any]]:
        """The values by facet, of the rows that have passed; facets with too many are left out."""
        few = (item for item in self._values.items() if len(item[1]) <= MOST_CODES)
        return {name: sorted(values) for name, values in few}


def _names(name: str) -> tuple[str, ...]:
    of_the_best = {"sigma_peak": "lc_sigma_max_B_peak", "sigma_eclipse": "lc_sigma_max_B_eclipse"}
    return name, f"{BEST}{of_the_best.get(name, name)}"


def _counterparts(table: Table) -> Iterator[Facet]:
    """Facets of counterparts, for each catalogue: how far away, and of which type if it tells."""
    names = {column.name: column.type for column in table.columns}
    ends = [name for name in names if name.endswith(_APART)]
    for prefix in (name.removesuffix(_APART) for name in ends):
        own = [name for name in names if name.startswith(f"{prefix}_")]
        for name in own:
            short = name.removeprefix(f"{prefix}_")
            if short.lower() in TYPES_OF_COUNTERPARTS and not pa.types.is_floating(names[name]):
                # That of SIMBAD is what is asked for most.
                called = "otype" if name == "simbad_otype" else name
                yield Facet(called, name, f"Type in {prefix}", "codes")
        yield counterpart_distance(prefix)


def counterpart_distance(prefix: str) -> Facet:
    """The facet of the distance to counterparts in a catalogue, by the prefix of its columns."""
    label = f"Separation from {prefix}, arcsec"
    return Facet(f"{prefix}_sep", f"{prefix}{_APART}", label, start=0.01, stop=100, log=True)


def _codes(values: pa.ChunkedArray, labels: Sequence[Any]) -> np.ndarray:
    """The code of each value, its place among the labels; `MISSING` for others."""
    found = pc.index_in(values, pa.array(labels, values.type)).fill_null(MISSING)
    return np.asarray(found.to_numpy(), np.uint8)


def _floats(values: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def _latitude(rows: pa.Table) -> np.ndarray:
    vectors = unit_vectors(rows["ra_deg"].to_numpy(), rows["dec_deg"].to_numpy())
    return np.asarray(np.rad2deg(np.arcsin(np.clip(vectors @ _galactic_pole(), -1, 1))))


@cache
def _galactic_pole() -> np.ndarray:
    """Its unit vector: of the coordinates only the latitude is wanted."""
    pole = SkyCoord(0, 90, unit="deg", frame="galactic").icrs
    return unit_vectors(pole.ra.deg, pole.dec.deg)


def _mask(rows: pa.Table) -> np.ndarray:
    mask = np.zeros(len(rows), np.uint16)
    for bit, name in enumerate(FLAG_NAMES):
        if name in rows.schema.names:
            mask |= np.asarray(rows[name].to_numpy(zero_copy_only=False), bool) * np.uint16(
                1 << bit
            )
    return mask


def _column(values: Any) -> pa.Array:
    column = values if isinstance(values, pa.ChunkedArray) else pa.array(values)
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
