"""Sections that compare the archive with whole catalogues: 4XMM and EXTraS."""

from __future__ import annotations

from exod.catalogue.report.comparisons import RADIUS_ARCSEC, VARIABLE_P
from exod.catalogue.report.inputs import CATALOGUES
from exod.catalogue.report.numbers import Numbers
from exod.catalogue.report.page import Blocks, Cell, Listing, Text
from exod.catalogue.report.sections.survey import spread_cells
from exod.catalogue.report.words import Pictures, drawn, keyed, missing, share, unmatched
from exod.errors import plural

_LEVELS = {0: "all regions", 3: "≥ 3σ", 5: "≥ 5σ"}


def fluxes(numbers: Numbers, pictures: Pictures) -> Blocks:
    """Rates and counts of regions against fluxes, and the fluxes of sources against all of 4XMM."""
    blocks: Blocks = []
    if numbers.fluxes is None:
        blocks.append(unmatched(numbers, CATALOGUES["xmm"], "a flux"))
    elif numbers.fluxes.empty:
        text = "No source has a counterpart with a flux in 4XMM."
        blocks.append(Text(text, missing=True))
    else:
        measured = int((numbers.fluxes["peak_rate"] > 0).sum())
        text = (
            f"{plural(len(numbers.fluxes), 'source')} with a mean flux (0.2–12 keV) in 4XMM, "
            f"against the peak rate ({measured:,} measured) and the counts of their best region. "
            "The rate of steady light is proportional to its flux; sources far above the others "
            "brightened."
        )
        alternative = "Peak rate and excess counts of the best region against the flux in 4XMM."
        blocks += [Text(text), *drawn(pictures, "fluxes", alternative)]
    if "xmm" not in numbers.given:
        text = "All sources of 4XMM and its variable ones are not compared with these"
        blocks.append(missing(text, "report", numbers, "--xmm FILE"))
    groups = numbers.flux_groups
    if groups is not None and groups.spreads["n"].any():
        rows = [
            {"Sample": str(name), **spread_cells(row, "Sources with a flux")}
            for name, row in groups.spreads.to_dict("index").items()
        ]
        text = (
            "Mean fluxes (0.2–12 keV) in 4XMM: of its sources, of those that it finds variable, "
            "and of the counterparts of the sources of the archive (EXOD). Curves are shares of "
            "their samples, so that samples of different size can be compared."
        )
        alternative = "Histograms of the fluxes of sources, and of all and variable ones of 4XMM."
        blocks += [
            Text(text),
            *drawn(pictures, "flux_groups", alternative),
            Listing.of("Fluxes in 4XMM (erg cm⁻² s⁻¹)", rows),
        ]
    return blocks


def extras(numbers: Numbers, pictures: Pictures) -> Blocks:
    """The comparison with EXTraS."""
    found = numbers.extras
    if "extras" not in numbers.given:
        text = "The archive was not compared with EXTraS"
        return [missing(text, "report", numbers, "--extras FILE")]
    if found is None:
        return [missing("There are no unique sources to compare with EXTraS", "cluster", numbers)]
    text = (
        f"{plural(found.searched, 'observation')} were searched, EXTraS has "
        f"{plural(found.theirs, 'observation')}, and {found.common:,} are common. All numbers are "
        "of sources in the common ones. A source of the archive has a counterpart if a source of "
        f"EXTraS lies within {RADIUS_ARCSEC:g}″ of one of its regions in the same observation, and "
        "the other way round. Variable are those of EXTraS whose light curve in bins of 500 s of "
        f"one of the cameras is constant with a probability below {VARIABLE_P * 1e5:g} in 100,000."
    )
    if not found.common:
        return [Text(text), Text("No observation is common, so nothing is compared.", missing=True)]
    if found.unknown:
        text += (
            f" Of {plural(found.unknown, 'source')} (in one observation each) the probability is "
            "not known; they are not variable here."
        )
    rows: list[dict[str, Cell]] = [
        {
            "Regions": _LEVELS[level],
            "EXTraS": sample,
            "Sources of the archive": int(row["ours"]),
            "with one in EXTraS": int(row["ours_matched"]),
            "share": share(row["ours_matched"], row["ours"]),
            "without": int(row["ours"] - row["ours_matched"]),
            "Sources of EXTraS": int(row["theirs"]),
            "with one in the archive": int(row["theirs_matched"]),
            "share of EXTraS": share(row["theirs_matched"], row["theirs"]),
            "missed": int(row["theirs"] - row["theirs_matched"]),
        }
        for (level, sample), row in keyed(found.counts)
    ]
    alternative = "Bars: shares of the sources of the archive and of EXTraS that the other has."
    return [
        Text(text),
        *drawn(pictures, "extras", alternative),
        Listing.of("Sources of either side that the other has", rows),
    ]
