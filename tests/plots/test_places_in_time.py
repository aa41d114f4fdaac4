"""Pictures of sources over all observations, and of the maps of exposures."""

import numpy as np
import pandas as pd
import pytest

from exod.plots.fields.exposures import exposure_sheet
from exod.plots.places.longterms import history_figure
from exod.sky.plane import TangentPlane

SOURCE = {
    "srcid": "EXOD J213213.2+535754",
    "var_sigma": 4.2,
    "flux_ratio": 12.3,
    "flux_ratio_lo": 5.5,
}


def history(days: list[float]) -> pd.DataFrame:
    """Observations with and without an event, and of every second an upper limit."""
    number = np.arange(len(days))
    flux = 1e-13 * 2.0**number
    low = np.where(number % 2, 0.0, flux / 2)
    columns = {f"{what}{end}": value for what in ("flux", "rate")
               for end, value in (("", flux), ("_lo", low), ("_hi", 2 * flux))}  # fmt: skip
    found = number % 4 == 0
    peak = np.where(found, 9 * flux, np.nan)
    more = {"mjd": days, "found": found, "flux_peak": peak, "e_lo": 0.2, "e_hi": 12.0}
    return pd.DataFrame(columns | more)


@pytest.mark.parametrize(
    ("days", "label", "ends"),
    [
        ([52000.0], "Year", (2000.7, 2001.8)),
        ([52000.0, 52001.0, 52003.0], "MJD", (51999.8, 52003.2)),
        ([52000.0, 52000.1], "MJD", (51999.9, 52000.2)),
        ([52000.0, 53000.0, 58000.0], "Year", (2000.4, 2018.5)),
    ],
)
def test_observations_near_each_other_are_apart(days, label, ends):
    axes = history_figure(SOURCE, history(days)).axes[0]
    assert axes.get_xlabel() == label
    assert axes.get_xlim() == pytest.approx(ends, abs=0.1)


def test_the_legend_is_within_its_picture():
    figure = history_figure(SOURCE, history([52000.0 + 500 * number for number in range(8)]))
    figure.draw_without_rendering()
    axes = figure.axes[0]
    legend = axes.get_legend()
    assert len(legend.get_texts()) == 4
    inside, outside = legend.get_window_extent(), axes.get_window_extent()
    assert outside.x0 <= inside.x0
    assert inside.x1 <= outside.x1


def test_maps_of_exposures_show_what_was_seen():
    first, second = np.zeros((2, 200, 300))
    first[50:100, 120:130], second[60:90, 100:160] = 1000.0, 500.0
    plane = TangentPlane(150.0, 100.0, 30.0, -10.0, -0.001, 0.001)
    rows = [("EMOS1", "S001", [first, first / 2]), ("EPN", "S003", [second, second / 2])]
    figure = exposure_sheet("Field", ["ON", "1-2 keV"], rows, plane)
    panels = figure.axes[:2]
    for axes in panels:
        (x_lo, x_hi), (y_lo, y_hi) = axes.get_xlim(), axes.get_ylim()
        assert x_hi - x_lo == pytest.approx(y_hi - y_lo)
        assert 85 < x_lo < 100 < 159 < x_hi < 175
        assert y_lo < 50 < 99 < y_hi
    nothing = exposure_sheet("Field", ["ON"], [("EPN", "S003", [np.zeros((20, 30))])], plane)
    assert nothing.axes[0].get_xlim()[1] > 29
