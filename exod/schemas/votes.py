"""Votes of people on sources, and the verdicts that they come to."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from exod.schemas import kinds
from exod.schemas.columns import Column, Table
from exod.schemas.search import REGION_KEY

_S, _B = pa.string(), pa.bool_()
_I8, _I32, _I64, _F64 = pa.int8(), pa.int32(), pa.int64(), pa.float64()

LABELS: Final = ("real", "artefact", "interesting", "unsure")
"""What a vote may say of a source."""

WITHDRAWN: Final = "none"
"""The label of an event that takes the vote before it back."""

VOTES: Final = Table(
    "votes",
    "Events of vetting, which are never changed or removed: votes, and votes taken back",
    (
        Column("event", _S, "", "Identifier of the event; those of later ones sort after it"),
        Column("vetter", _S, "", "Who voted"),
        Column("clock", _I64, "", "Number of the event among those of the vetter, from 1"),
        kinds.day("time", "When, MJD (UTC)"),
        kinds.parent_source("region_num", "The unique source as it was then"),
        Column("detid", _S, "", "Its best detection then", ucd="meta.id.assoc"),
        kinds.version("unique_version", "Version of the product unique that it was seen in"),
        Column("label", _S, "", "real, artefact, interesting or unsure; none withdraws"),
        Column("classes", _S, "", "What it may be, words of the vetter with commas between them"),
        Column("score", _I8, "", "How sure, 0 to 5; -1 if not told"),
        Column("note", _S, "", "A note, as text"),
        Column("supersedes", _S, "", "The event that this one takes the place of; or empty"),
        Column("view", _S, "", "State of the address that it was judged at"),
        Column("seconds", _F64, "s", "How long it was looked at; NaN if unknown"),
        Column("software", _S, "", "What wrote the event"),
    ),
    ("vetter", "clock", "event"),
)

VERDICTS: Final = Table(
    "verdicts",
    "What votes come to: a label with two votes at least and more than half of all, or a conflict",
    (
        Column("region_num", _I64, "", "Number of the unique source", ucd="meta.record"),
        Column("n_votes", _I32, "", "Votes that count"),
        *(Column(f"n_{label}", _I32, "", f"Of these, {label}") for label in LABELS),
        Column("n_stale", _I32, "", "Votes from before the source was split, which do not count"),
        Column("verdict", _S, "", "The label, conflict, or open with fewer than two votes"),
        Column("conflict", _B, "", "Whether the verdict is conflict"),
        Column("vetters", _S, "", "Who voted, sorted, with commas between them"),
    ),
    ("region_num",),
)

VETTED: Final = Table(
    "vetted",
    "Regions of sources with a verdict of real, interesting or artefact",
    (
        *REGION_KEY,
        Column("vet_real", _B, "", "Label: vetters agree that its source is real or interesting"),
        Column("vet_artefact", _B, "", "Label: vetters agree that its source is an artefact"),
    ),
    ("runid", "detid"),
)
"""A table of the product ``flags`` that is there only if verdicts were asked for."""
