"""Sheets of the detector plane and of regions: nothing, one region, hundreds, ten time bins."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from exod.counts.frameimages import ImageLayer
from exod.plots.diagnostics.detectorplane import detector_sheet
from exod.plots.diagnostics.energies import regions_sheet
from exod.plots.fields.sheets import draw_layer

BINS = (1.0, 2.5, 5.0, 6.0, 15.0, 40.0, 100.0, 250.0, 600.0, 1500.0)


def boxes(*rows):
    columns = ["t_bin", "x_lo", "x_hi", "y_lo", "y_hi"]
    return pd.DataFrame(list(rows), columns=columns, dtype=float)


@pytest.mark.parametrize(("n", "n_bins"), [(0, 1), (1, 1), (300, 3), (6000, 10)])
def test_detector_plane(n, n_bins):
    random = np.random.default_rng(n)
    x, y = random.uniform(-18_000, 18_000, (2, n))
    x[: n // 50] = np.nan
    t_bin = np.resize(BINS[:n_bins], n)
    found = pd.DataFrame({"t_bin": t_bin, "X_det": x, "Y_det": y})
    drawn = boxes([np.nan, 0, 9000, 0, 9000], [1.0, -5000, -1000, -5000, 0])
    figure = detector_sheet("All", found, drawn)
    FigureCanvasAgg(figure).draw()
    shown = [axes for axes in figure.axes if axes.axison]
    assert len(shown) == min(n_bins, max(n, 1))
    assert sum(len(points.get_offsets()) for a in shown for points in a.collections) == (
        np.isfinite(x).sum()
    )
    # A box of no time bin is in every panel, the other in that of its own.
    assert [len(axes.patches) for axes in shown[1:]] == [1] * (len(shown) - 1)
    hot = (x >= 0) & (x < 9000) & (y >= 0) & (y < 9000)
    hot |= (x >= -5000) & (x < -1000) & (y >= -5000) & (y < 0) & (t_bin == 1.0)
    assert sum(int(a.get_title().split(" in ")[0].split(", ")[-1]) for a in shown) == hot.sum()


@pytest.mark.parametrize("n", [0, 1, 300])
def test_soft_against_hard_of_regions(n):
    random = np.random.default_rng(n)
    counts = {f"n_{b}{e}": random.poisson(9.0, n) for b in ("soft", "hard") for e in ("", "_event")}
    rows = pd.DataFrame(counts, dtype=float).assign(kind="peak")
    rows.loc[:100, "n_soft_event"] = np.nan
    figure = regions_sheet("All", rows)
    FigureCanvasAgg(figure).draw()
    shown = [sum(len(p.get_offsets()) for p in axes.collections) for axes in figure.axes]
    assert shown == [n, max(n - 101, 0)]


def test_what_is_empty_says_why():
    """Panels without regions have no ticks, and say whether there are none or nothing is known."""
    unknown = pd.DataFrame(
        {f"n_{b}{e}": [np.nan] for b in ("soft", "hard") for e in ("", "_event")}
    ).assign(kind="peak")
    for rows, text in (
        (unknown, "no region with soft and hard counts"),
        (unknown[:0], "no regions"),
    ):
        for axes in regions_sheet("All", rows).axes:
            assert [item.get_text() for item in axes.texts] == [text]
            assert not axes.xaxis.get_tick_params()["labelbottom"]
    nowhere = pd.DataFrame({"t_bin": [], "X_det": [], "Y_det": []}, dtype=float)
    (panel,) = detector_sheet("All", nowhere, boxes()).axes
    assert [item.get_text() for item in panel.texts] == ["no regions"]


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [("MIN", 0, "0 in all cells"), ("SIGNIFICANCE", 0, "nothing"), ("N50", np.nan, "not known")],
)
def test_an_image_of_one_colour_says_so(name, value, text):
    figure = Figure()
    axes = figure.add_subplot()
    draw_layer(figure, axes, ImageLayer(name, np.full((3, 4), value, float), "ct", "What it is"))
    FigureCanvasAgg(figure).draw()
    assert [item.get_text() for item in axes.texts] == [text]


def test_whole_numbers_have_whole_ticks():
    figure = Figure()
    axes = figure.add_subplot()
    image = np.arange(4.0).reshape(2, 2)
    draw_layer(figure, axes, ImageLayer("MAX", image, "ct", "Most counts"))
    FigureCanvasAgg(figure).draw()
    ticks = figure.axes[1].get_yticks()
    assert len(ticks) > 1
    assert (ticks % 1 == 0).all()
    assert not axes.texts
