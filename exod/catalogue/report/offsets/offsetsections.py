"""Sections of the page about offsets, as archived and corrected."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from exod.astrometry.drift import ALERTS_PER_YEAR, Seasonal
from exod.astrometry.offsetstatistics import MARKS, RadialDistribution
from exod.catalogue.report.offsets.offsetnumbers import (
    AXES,
    HALVES,
    SEASON,
    OffsetNumbers,
    Version,
    half_year,
)
from exod.catalogue.report.page import Blocks, Cell, Gallery, Listing, Picture, Section, Text
from exod.errors import plural

Pictures = Mapping[str, bytes]

WORST: Final = 10
"""Longest offsets that are listed."""

_ASKED: Final = {
    SEASON: "the time of the year",
    "roll_deg": "the roll angle",
    "off_axis_arcmin": "the off-axis angle",
    "temperature_c": "the temperature",
}


def offset_sections(numbers: OffsetNumbers, pictures: Pictures) -> list[Section]:
    """All sections in order.

    Parameters
    ----------
    numbers : OffsetNumbers
        What they say.
    pictures : dict of str to bytes
        From `exod.plots.offsets.offset_pictures`.
    """
    words = numbers.words
    found = [Section("Summary", _summary(numbers)), Section("Alerts", _alerts(numbers))]
    if not len(numbers.before.offsets):
        return found
    found += _of_version(numbers.before, words.before, pictures, "before")
    if numbers.after is None:
        found.append(Section(words.after, [Text(words.correction, missing=True)]))
    else:
        found += _of_version(numbers.after, words.after, pictures, "after", words.correction)
    found.append(Section("What offsets depend on", _dependences(pictures)))
    found.append(Section("Longest offsets", [_longest(numbers.before)]))
    found.append(Section("What is measured", _definitions()))
    return found


def _summary(numbers: OffsetNumbers) -> Blocks:
    offsets = numbers.before.offsets
    if offsets.empty:
        return [
            Text(numbers.words.selection),
            Text("There are no such offsets.", missing=True),
        ]
    first, last = (_date(year) for year in (offsets["year"].iloc[0], offsets["year"].iloc[-1]))
    text = (
        f"{plural(len(offsets), 'offset')} in {plural(offsets['obsid'].nunique(), 'observation')}, "
        f"from {first} to {last}. {numbers.words.selection}"
    )
    rows = [
        {"Offsets": name, **_radii(version.radial["all"])}
        for name, version in (
            (numbers.words.before, numbers.before),
            (numbers.words.after, numbers.after),
        )
        if version is not None
    ]
    return [Text(text), Listing.of("Radii (″) that hold a share of the offsets", rows)]


def _radii(radial: RadialDistribution) -> dict[str, Cell]:
    cells: dict[str, Cell] = {"Number": radial.n}
    for percent, row in zip(MARKS, radial.quantiles.to_dict("records"), strict=True):
        cells[f"{percent:g} %"] = _with_band(row)
    return cells | {"Worst": round(radial.worst, 3)}


def _with_band(row: Mapping[Any, Any]) -> str:
    if not np.isfinite(row["low"]):
        return f"{row['radius']:.2f}"
    high = f"{row['high']:.2f}" if np.isfinite(row["high"]) else "beyond 3"
    return f"{row['radius']:.2f} ({row['low']:.2f} to {high})"


def _alerts(numbers: OffsetNumbers) -> Blocks:
    tested = (
        "Steps are looked for in the medians of observations, along each axis, with scores that "
        "wild offsets hardly change; a yearly sine that is significant is taken out before. Who "
        "looks each month sees less than one alert by chance in "
        f"{math.floor(1 / ALERTS_PER_YEAR)} years, on both axes and all detectors together."
    )
    blocks: Blocks = [Text(tested if len(numbers.alerts) else f"There is no alert. {tested}")]
    rows: list[dict[str, Cell]] = [
        {
            "Date": _date(row["year"]),
            "Detector": str(row["detector"]),
            "Axis": str(row["axis"]),
            "Step (″)": f"{row['size']:+.2f} ± {row['error']:.2f}".replace("-", "−"),
            "Observations before": int(row["before"]),
            "after": int(row["after"]),
            "By chance in a year": _chance(row["chance_per_year"]),
        }
        for row in numbers.alerts.to_dict("records")
    ]
    if rows:
        blocks.append(Listing.of(plural(len(rows), "alert"), rows))
    gone: list[dict[str, Cell]] = [
        {
            "Date": _date(alert["year"]),
            "Detector": str(alert["detector"]),
            "Axis": str(alert["axis"]),
            "Step that was told (″)": _signed(alert.get("size")),
            "Withdrawn": str(alert["withdrawn"])[:10],
        }
        for alert in numbers.withdrawn
    ]
    if gone:
        caption = "Alerts that were told, and that the offsets known now do not show"
        blocks.append(Listing.of(caption, gone))
    return blocks


def _chance(per_year: float) -> str:
    return f"{per_year:.2g}" if per_year > 1e-6 else "< 0.000001"


def _signed(size: Any) -> str:
    return f"{size:+.2f}".replace("-", "−") if isinstance(size, float) else "–"


def _of_version(
    version: Version, title: str, pictures: Pictures, when: str, text: str = ""
) -> list[Section]:
    detectors = [name for name in version.radial if name != "all"]
    drawn = [
        _picture(pictures, f"{when}_radial_all", "Share of offsets within a radius."),
        _picture(pictures, f"{when}_plane", "Offsets along both axes of the telescope."),
    ]
    blocks: Blocks = [Text(text)] if text else []
    blocks += [item for item in drawn if item]
    rows = [{"Detector": name, **_radii(radial)} for name, radial in version.radial.items()]
    blocks.append(Listing.of("Radii (″) that hold a share of the offsets", rows))
    if detectors:
        names = ["detectors", *(f"radial_{name}" for name in detectors)]
        items = [
            _picture(pictures, f"{when}_{name}", f"Radial distribution: {name}.") for name in names
        ]
        blocks.append(Gallery(tuple(item for item in items if item)))
    history: Blocks = [
        item
        for name in version.history
        if (item := _picture(pictures, f"{when}_history_{name}", _history_words(name)))
    ]
    history += [_half_years(version), *_seasonal(version)]
    if halves := _picture(
        pictures,
        f"{when}_halves",
        f"Distributions of dy, dz and dr in the last {HALVES} half years.",
    ):
        history.append(halves)
    return [
        Section(title, blocks),
        Section(f"{title}: history", history),
        Section(f"{title}: rms", [_rms(version)]),
    ]


def _history_words(detector: str) -> str:
    whose = "all detectors" if detector == "all" else detector
    return f"Offsets of {whose} against time with half-year medians."


def _half_years(version: Version) -> Listing:
    bins = version.history["all"]
    joined = bins[bins["axis"] == "dy"].merge(bins[bins["axis"] == "dz"], on="start")
    rows: list[dict[str, Cell]] = []
    for row in joined.to_dict("records"):
        cells: dict[str, Cell] = {"Half year": half_year(row["start"]), "Offsets": int(row["n_x"])}
        for axis, side in zip(AXES, "xy", strict=True):
            cells[f"{axis} (″)"] = round(float(row[f"median_{side}"]), 3)
            box = f"{row[f'low_{side}']:.2f} to {row[f'high_{side}']:.2f}".replace("-", "−")
            cells[f"{axis}, 15.8 to 84.2 %"] = box
        rows.append(cells)
    return Listing.of("Medians of half years", rows)


def _seasonal(version: Version) -> Blocks:
    fits = {axis: fit for axis, fit in version.seasonal.items() if fit is not None}
    if not fits:
        text = "A cubic and a yearly sine need 20 observations over two years."
        return [Text(text, missing=True)]
    rows = [_seasonal_row(axis, fit) for axis, fit in fits.items()]
    caption = "A cubic in time (t in years from the middle) and a yearly sine, of observations"
    return [Listing.of(caption, rows)]


def _seasonal_row(axis: str, fit: Seasonal) -> dict[str, Cell]:
    errors = np.sqrt(np.diag(fit.covariance))
    cells: dict[str, Cell] = {"Axis": axis, "Observations": fit.n, "Middle": round(fit.middle, 2)}
    for number, name in enumerate(("constant (″)", "t", "t²", "t³")):
        value = f"{fit.coefficients[number]:.3g} ± {errors[number]:.2g}"
        cells[name] = value.replace("-", "−")
    amplitude = f"{fit.amplitude_arcsec:.3f} ± {fit.amplitude_error_arcsec:.3f}"
    cells["Amplitude (″)"] = amplitude
    cells["Largest at"] = f"{fit.maximum:.2f} of the year"
    return cells | {"Scatter (″)": round(fit.scatter_arcsec, 3)}


def _rms(version: Version) -> Listing:
    rows: list[dict[str, Cell]] = [
        {
            "Period": str(row["period"]),
            "Detector": str(row["detector"]),
            "Offsets": int(row["n"]),
            "rms (″)": _rounded(row["rms"]),
            "90 % (″)": _rounded(row["q90"]),
            "Beyond 1″ (%)": _rounded(row["beyond"], 1),
        }
        for row in version.rms.to_dict("records")
    ]
    return Listing.of("rms radius, and radius that holds 90 %; years before the last offset", rows)


def _dependences(pictures: Pictures) -> Blocks:
    blocks: Blocks = []
    for name, words in _ASKED.items():
        if picture := _picture(pictures, name, f"Offsets against {words}, with medians."):
            blocks.append(picture)
        else:
            blocks.append(Text(f"Of {words} nothing is known.", missing=True))
    return blocks


def _longest(version: Version) -> Listing:
    rows: list[dict[str, Cell]] = [
        {
            "Observation": str(row["obsid"]),
            "Name": str(row["name"]),
            "Detector": str(row["detector"]),
            "Date": _date(row["year"]),
            **{f"{axis} (″)": round(float(row[axis]), 2) for axis in (*AXES, "dr")},
        }
        for row in version.offsets.nlargest(WORST, "dr").to_dict("records")
    ]
    return Listing.of("Offsets as archived", rows)


def _definitions() -> Blocks:
    return [
        Text(
            "An offset is the place of an X-ray source minus that of its counterpart, dy and dz "
            "along the Y and Z axes of the telescope, dr its length. With east and north at the "
            "pointing and the roll angle r, Y = cos r E + sin r N and Z = −sin r E + cos r N. "
            "Bands are one standard deviation by bootstrap: observations are drawn with "
            "replacement, since offsets of one observation share the error of its frame."
        )
    ]


def _picture(pictures: Pictures, name: str, alternative: str) -> Picture | None:
    return Picture(pictures[name], alternative) if name in pictures else None


def _rounded(value: Any, digits: int = 3) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None


def _date(year: float) -> str:
    """Date of a decimal year.

    Examples
    --------
    >>> _date(2013.5)
    '2013-07-02'
    """
    begin = np.datetime64(f"{int(year)}-01-01")
    days = (np.datetime64(f"{int(year) + 1}-01-01") - begin).astype(int)
    return str(begin + np.timedelta64(int((year % 1.0) * days), "D"))
