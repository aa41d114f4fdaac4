"""Sheets of the detector plane and of regions: nothing, one region, hundreds, ten time bins."""

import numpy as np
import pandas as pd
import pytest
from helpers.strategies import grid_of
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from exod.counts.cube import CountCube
from exod.counts.frameimages import ImageLayer
from exod.counts.grid import Box
from exod.counts.template import Template, TemplateSteps
from exod.observation.gti import Frames
from exod.plots.diagnostics.backgrounds import template_sheet
from exod.plots.diagnostics.detectorplane import detector_sheet
from exod.plots.diagnostics.energies import regions_sheet
from exod.plots.fields.sheets import draw_layer
from exod.plots.fields.space import MOST_LABELS, cube_picture
from exod.plots.style import found_text

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


@pytest.mark.parametrize(("n", "rule"), [(0, "exod2"), (3, "exod1"), (40, "exod2")])
def test_labels_of_the_cube_stay_apart_where_regions_touch(n, rule):
    """Regions in one frame, a cell apart: their numbers cover neither marks nor each other."""
    frames, grid, label = Frames(1e8, 50.0, 3), grid_of(129), np.arange(n)
    flat = np.add.outer(np.arange(60, 66) * grid.n, np.arange(40, 48)).ravel().astype(np.int32)
    frame = np.repeat(np.arange(3, dtype=np.int32), 16)
    cube = CountCube.from_events(frames, grid, frame, flat, np.zeros(3, bool), chunk_frames=4)
    places = {"x": 41 + label % 6, "y": 61 + label // 6 % 4, "TIME_lo": 1e8 + 50.0 * (label % 3)}
    cells = pd.DataFrame({**places, "kind": "peak", "label": label})
    regions = pd.DataFrame({"label": label, "sigma_peak": 3.0 + label, "sigma_eclipse": np.nan})
    run = {"obsid": "0900000101", "subset": 0, "e_lo": 0.2, "e_hi": 12.0, "t_bin": 50.0}
    which = np.ones(cube.frames.n, bool)
    figure = cube_picture({**run, "rule": rule}, cube, which, cells, regions, "")
    FigureCanvasAgg(figure).draw()
    texts = figure.axes[0].texts
    assert {text.get_text() for text in texts} == {str(i) for i in label[-MOST_LABELS:]}
    boxes = [Text.get_window_extent(text) for text in texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    (legend,) = figure.legends
    said = [legend.get_title().get_text(), *(text.get_text() for text in legend.texts)]
    assert said[0] == {0: "", 3: "3 regions"}.get(n, "40 regions, the 15 most significant labelled")
    assert (f"{n} {found_text({'rule': rule})} cells: peak" in said) == (n > 0)


def test_panels_without_counts_are_as_large_as_the_others():
    box, image = Box(10, 20, 30, 60), np.ones((10, 30))
    template = Template(image, 5.0)
    steps = TemplateSteps(image, image, template)
    none = TemplateSteps(0 * image, 0 * image, Template(0 * image, 0.0))
    mask = np.zeros(image.shape, bool)
    images = (image.astype(int), 0 * image.astype(int))
    figure = template_sheet("All", box, images, (3, 0), (steps, none), mask, 0 * image)
    FigureCanvasAgg(figure).draw()
    sizes = [axes.get_window_extent().size for axes in figure.axes if axes.get_title()]
    assert len(sizes) == 10
    np.testing.assert_allclose(sizes, np.broadcast_to(sizes[0], (10, 2)), rtol=1e-6)
