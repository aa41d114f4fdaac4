"""All sections of the report in order, and its summary."""

from __future__ import annotations

from exod.catalogue.report.consistency import failed
from exod.catalogue.report.numbers import Numbers
from exod.catalogue.report.page import Blocks, Cell, Listing, Section, Text
from exod.catalogue.report.sections.classes import object_types, type_separations
from exod.catalogue.report.sections.comparisons import extras, fluxes
from exod.catalogue.report.sections.detections import (
    bayes_factors,
    durations,
    false_alarms,
    good_and_bad_time,
    significance,
)
from exod.catalogue.report.sections.quality import consistency, flags, provenance
from exod.catalogue.report.sections.sources import (
    counterparts,
    hardness,
    positions,
    sky,
    stars,
    strongest,
)
from exod.catalogue.report.sections.survey import cameras, events, frames, isolated_flares, runs
from exod.catalogue.report.words import Pictures, missing, share
from exod.errors import plural

_STATUS = ("OK", "EMPTY", "SKIPPED", "FAILED")


def sections(numbers: Numbers, pictures: Pictures) -> list[Section]:
    """All sections, in order; what the archive does not have is said in its place."""
    drawing = {
        "Events and rates": events,
        "Cameras and read-out modes": cameras,
        "Events in a frame": frames,
        "Regions of a run, subsets of an observation": runs,
        "Runs and significance": significance,
        "Good and bad time": good_and_bad_time,
        "Sky": sky,
        "Bayes factors": bayes_factors,
        "Expected false alarms": false_alarms,
        "Durations and excess counts": durations,
        "Isolated flares": isolated_flares,
        "Regions and their sources": positions,
        "Counterparts": counterparts,
        "SIMBAD types": object_types,
        "Separations by type": type_separations,
        "Fluxes of 4XMM": fluxes,
        "EXTraS": extras,
        "Hertzsprung–Russell diagram": stars,
        "Hardness ratios": hardness,
        "Flags": flags,
        "The most significant sources": strongest,
    }
    return [
        Section("Summary", summary(numbers)),
        *(Section(title, blocks(numbers, pictures)) for title, blocks in drawing.items()),
        Section("Consistency", consistency(numbers)),
        Section("Versions and settings", provenance(numbers)),
    ]


def summary(numbers: Numbers) -> Blocks:
    """Observations by status, time searched, runs, regions and sources."""
    observations = sum(numbers.status.values())
    rows: list[tuple[Cell, ...]] = [("Observations", observations, "")]
    meaning = {
        "OK": "with regions",
        "EMPTY": "searched, without regions",
        "SKIPPED": "not to be searched",
        "FAILED": "with an error",
    }
    rows += [(f"… {meaning[name]}", numbers.status.get(name, 0), name) for name in _STATUS]
    rows += [
        ("Exposure time searched", numbers.searched / 1e6, "Ms"),
        ("… outside flares of the background", numbers.good / 1e6, "Ms"),
        ("Runs (time bin and band of an observation)", numbers.n_runs, ""),
        ("Variable regions", numbers.n_regions, ""),
        ("Unique sources", numbers.sources.n if numbers.sources else None, ""),
    ]
    blocks: Blocks = [Listing("The archive in numbers", ("What", "Number", ""), tuple(rows))]
    if numbers.sources is None:
        blocks.append(missing("The regions were not joined to sources", "cluster", numbers))
    elif numbers.sources.n:
        seen = numbers.sources.observations["n"]
        several = int(seen[seen.index > 1].sum())
        blocks.append(
            Text(
                f"A source has {numbers.n_regions / numbers.sources.n:.3g} regions on average; "
                f"{plural(several, 'source')} ({share(several, numbers.sources.n)}) "
                f"{'has' if several == 1 else 'have'} regions in more than one observation."
            )
        )
    if not observations:
        blocks.append(Text("No observation was searched yet.", missing=True))
    wrong = failed(numbers.checks)
    if wrong:
        of = plural(len(numbers.checks), "consistency check")
        blocks.append(Text(f"{wrong} of {of} did not pass; see the end of this page."))
    return blocks
