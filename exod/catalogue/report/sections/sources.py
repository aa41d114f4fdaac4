"""The sections of the report about sources and their counterparts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pandas as pd

from exod.catalogue.report.counterparts import MIN_PARALLAX_SNR, Separations
from exod.catalogue.report.inputs import CATALOGUES
from exod.catalogue.report.numbers import Numbers
from exod.catalogue.report.page import Blocks, Cell, Gallery, Link, Listing, Picture, Text
from exod.catalogue.report.words import Pictures, drawn, missing, share, unmatched
from exod.errors import plural

SIMBAD_RADIUS_ARCSEC = 20
"""Radius of the query behind the links, that of the cross-match."""


def sky(numbers: Numbers, pictures: Pictures) -> Blocks:
    """Maps of the sources."""
    if numbers.sources is None:
        return [missing("There are no unique sources", "cluster", numbers)]
    if not numbers.sources.n:
        return [Text("There are no sources.", missing=True)]
    n, fields = numbers.sources.n, len(numbers.sources.sky)
    text = (
        f"{plural(n, 'source')} in {plural(fields, 'HEALPix pixel')} of 0.84 square degrees, about "
        "a field of view each; the colour is the number of sources in a pixel. Where sources are "
        "dense the sky was observed more often or longer, so this is not a map of the sky."
    )
    name = "Map of the sky in {} coordinates, Aitoff projection: sources by pixel."
    return [
        Text(text),
        *drawn(pictures, "sky_icrs", name.format("equatorial"), "Equatorial coordinates."),
        *drawn(pictures, "sky_galactic", name.format("Galactic"), "Galactic coordinates."),
    ]


def positions(numbers: Numbers, pictures: Pictures) -> Blocks:
    """Separations of the regions from their sources."""
    if numbers.sources is None:
        return [missing("There are no unique sources", "cluster", numbers)]
    if not numbers.sources.separations.total:
        return [Text("No source has a region.", missing=True)]
    seen = numbers.sources.observations["n"]
    rows = tuple(
        (f"{count} or more" if count == seen.index.max() and count == 5 else f"{count}", int(n))
        for count, n in seen.items()
    )
    return [
        Text(
            "Distance of each region from the mean position of its source. Those of sources "
            "with one region are zero and stand in the first bin."
        ),
        *drawn(pictures, "separations", "Histogram of the distances of regions from sources."),
        Listing("Sources by observations with a region", ("Observations", "Sources"), rows),
    ]


def counterparts(numbers: Numbers, pictures: Pictures) -> Blocks:
    """Separations of the counterparts in each catalogue against chance."""
    if not numbers.matches:
        text = "The sources were not matched with any catalogue"
        return [missing(text, "crossmatch", numbers, "--with NAME")]
    rows = [_match_row(name, found) for name, found in numbers.matches.items()]
    text = (
        "The nearest object within the radius is the counterpart. Objects of the local density at "
        "random places would give the expected ones (the line in the pictures); where the "
        "histogram follows the line, counterparts are by chance. The last column counts those "
        "with a chance probability of one half or more."
    )
    pairs = [
        drawn(pictures, f"match_{name}", f"Separations of the counterparts in {name} and chance.")
        for name in numbers.matches
    ]
    gallery = tuple(picture for pair in pairs for picture in pair)
    blocks: Blocks = [Text(text), Listing.of("Cross-matches", rows)]
    if gallery:
        blocks.append(Gallery(gallery))
    return blocks


def _match_row(name: str, found: Separations | None) -> Mapping[str, Cell]:
    if found is None:
        return {"Catalogue": name}
    return {
        "Catalogue": name,
        "Sources": found.sources,
        "With counterpart": found.matched,
        "Share": share(found.matched, found.sources),
        "Within": f"{found.radius_arcsec:g}″",
        "Median separation (″)": found.median_arcsec,
        "Expected by chance": found.expected_chance,
        "Rather chance than not": found.likely_chance,
    }


def stars(numbers: Numbers, pictures: Pictures) -> Blocks:
    """Absolute magnitudes and colours of Gaia."""
    if numbers.stars is None:
        columns = "a magnitude, a colour or a parallax"
        return [unmatched(numbers, CATALOGUES["gaia"], columns)]
    if numbers.stars.empty:
        return [Text("No source has a counterpart with a usable parallax in Gaia.", missing=True)]
    text = (
        f"{plural(len(numbers.stars), 'counterpart')} in Gaia DR3 with a parallax of at least "
        f"{MIN_PARALLAX_SNR:g} standard errors (if these are known), without correction for "
        "extinction. Some are by chance; see the expected separations above."
    )
    alternative = "Absolute magnitude against colour of the counterparts in Gaia."
    return [Text(text), *drawn(pictures, "stars", alternative)]


def hardness(numbers: Numbers, pictures: Pictures) -> Blocks:
    """Hardness ratios."""
    if numbers.features is None:
        return [missing("Light curves have no features", "features", numbers)]
    found = numbers.features.hardness
    if found is None:
        return [missing("The features have no hardness ratios", "features", numbers)]
    if not found.total:
        return [
            Text(
                "No region has a hardness ratio; it needs runs of the soft and of the hard band.",
                missing=True,
            )
        ]
    counts = {str(name): int(row.sum()) for name, row in found.counts.iterrows()}
    known = ", ".join(f"{n:,} of the {name}" for name, n in counts.items())
    text = f"(hard − soft) / (hard + soft) of counts: {known}. −1 is soft, 1 is hard."
    return [Text(text), *drawn(pictures, "hardness", "Histograms of the hardness ratios.")]


def strongest(numbers: Numbers, pictures: Pictures) -> Blocks:
    """The most significant sources with links and light curves."""
    if numbers.sources is None:
        return [missing("There are no unique sources", "cluster", numbers)]
    top = numbers.sources.top
    if top.empty:
        return [Text("There are no sources.", missing=True)]
    rows = [_source_row(row) for row in top.to_dict("records")]
    gallery = tuple(
        _thumbnail(row, pictures) for row in top.to_dict("records") if row["best_detid"] in pictures
    )
    silent = [
        Text(f"{detid}: {curve}", missing=True)
        for detid, curve in numbers.curves.items()
        if isinstance(curve, str)
    ]
    text = (
        f"The {plural(len(top), 'source')} of the largest significance. Sigmas end at 10. Links "
        "lead to SIMBAD and ESASky at the position; the false-alarm probability is that of chance "
        "making one as strong in any run of the observation."
    )
    blocks: Blocks = [Text(text), *silent]
    if gallery:
        blocks += [
            Text(
                "Light curves of the best regions: counts (steps), expected counts (dashed line); "
                "the triangle marks the most significant frame."
            ),
            Gallery(gallery),
        ]
    blocks.append(Listing.of("Sources by significance", rows))
    return blocks


def _source_row(row: Mapping[Any, Any]) -> Mapping[str, Cell]:
    ra, dec = float(row["ra_deg"]), float(row["dec_deg"])
    known = not pd.isna(row["best_kind"])
    return {
        "Source": str(row["srcid"]),
        "RA, Dec (°)": f"{ra:.5f} {dec:+.5f}".replace("-", "−"),
        "Error (″)": float(row["pos_err_arcsec"]),
        "Peak: σ (log B)": _strength(row["sigma_peak"], row["max_B_peak_log"]),
        "Eclipse: σ (log B)": _strength(row["sigma_eclipse"], row["max_B_eclipse_log"]),
        "False alarm": float(row["fap_obs"]),
        "Regions (in observations)": f"{row['n_detections']} ({row['n_observations']})",
        "Look up": links(ra, dec),
        "Best region": str(row["best_detid"]),
        "Its kind": str(row["best_kind"]) if known else "not in the archive",
        "Its duration (s)": float(row["best_duration"]) if known else None,
    }


def _strength(sigma: float, log_b: float) -> str | None:
    return None if pd.isna(log_b) else f"{sigma:.1f} ({log_b:.1f})"


def links(ra_deg: float, dec_deg: float) -> tuple[Link, ...]:
    """SIMBAD and ESASky at a position.

    Examples
    --------
    >>> links(10.5, -20.25)[1].url
    'https://sky.esa.int/esasky/?target=10.50000+-20.25000&fov=0.1&sci=true'
    """
    simbad = {
        "Coord": f"{ra_deg:.5f}d{dec_deg:+.5f}d",
        "CooFrame": "ICRS",
        "Radius": SIMBAD_RADIUS_ARCSEC,
        "Radius.unit": "arcsec",
    }
    esasky = {"target": f"{ra_deg:.5f} {dec_deg:.5f}", "fov": 0.1, "sci": "true"}
    return (
        Link("SIMBAD", f"https://simbad.cds.unistra.fr/simbad/sim-coo?{urlencode(simbad)}"),
        Link("ESASky", f"https://sky.esa.int/esasky/?{urlencode(esasky)}"),
    )


def _thumbnail(row: Mapping[Any, Any], pictures: Pictures) -> Picture:
    detid = str(row["best_detid"])
    caption = (
        f"{row['srcid']}: {row['best_kind']}, {row['best_t_bin']:g} s frames, "
        f"{row['best_e_lo']:g}–{row['best_e_hi']:g} keV ({detid})"
    )
    return Picture(pictures[detid], f"Light curve of region {detid}.", caption)
