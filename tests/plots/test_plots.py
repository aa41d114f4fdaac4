"""Pictures: they show what they should, survive odd data, and appear whole or not at all."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from helpers.strategies import grid_of_size
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from exod.archive import Archive
from exod.config import Config
from exod.counts.bayes import log10_b_eclipse, log10_b_peak, threshold
from exod.errors import ArchiveError, plural
from exod.plots import (
    detection_image,
    observation_overview,
    region_light_curve,
    save_detection,
    save_figure,
    save_observation,
    significance_limits,
)
from exod.plots.images import cell_kinds, cell_wcs
from exod.plots.lightcurves.curves import significant_frames
from exod.plots.lightcurves.eventmarks import sigma_text
from exod.plots.style import label_logarithm, position_text, series_style, spans
from exod.schemas import TABLES
from exod.sky.plane import TangentPlane

OBSID = "0123456789"
RUNID = f"{OBSID}_0_50_0.2_12.0"
T_LO = 100_000_000.0
GRID = grid_of_size(20.0)
PLANE = TangentPlane(25921, 25921, 150.0, 2.2, -1.388888888888889e-05, 1.388888888888889e-05)
PLANE_COLUMNS = {
    f"{axis}_{end}": getattr(PLANE, f"{axis}_{end}") for axis in "xy" for end in ("ref", "delta")
} | {
    "ra_ref": PLANE.ra_ref,
    "dec_ref": PLANE.dec_ref,
}


def rows(table: str, *given: Mapping[str, Any]) -> pd.DataFrame:
    """Rows of a table; columns that are not given are 0, False or empty."""
    blank = {column.name: _blank(column.type) for column in TABLES[table].columns}
    return TABLES[table].frame([{**blank, **values} for values in given])


def _blank(kind: pa.DataType) -> Any:
    return "" if kind == pa.string() else False if kind == pa.bool_() else 0


def make_run(**values: Any) -> pd.DataFrame:
    key = {"runid": RUNID, "obsid": OBSID, "t_bin": 50.0, "e_lo": 0.2, "e_hi": 12.0}
    box = {"y_lo": 40, "y_hi": 70, "x_lo": 30, "x_hi": 70}
    found = {
        "sigma": 3.0,
        "rule": "exod2",
        "size_arcsec": GRID.size_arcsec,
        "t_lo": T_LO,
        "window": 1,
    }
    return rows("runs", {**key, **box, **found, "n_frames": 80, "n_regions": 2, **values})


def make_image() -> pd.DataFrame:
    n = np.random.default_rng(1).poisson(30, (30, 40))
    n[:5] = 0
    n[15, 20] = 9000
    values = {"n": n.ravel(), "mu": n.ravel(), "source_mask": n.ravel() > 100}
    values |= {"n50": n.ravel() * 2.0, "n90": n.ravel() * 3.0}
    return rows("images", {"runid": RUNID, "obsid": OBSID, **values})


def make_regions(n: int = 2, **values: Any) -> pd.DataFrame:
    return rows(
        "regions",
        *(
            {
                "detid": f"{RUNID}_{label}",
                "runid": RUNID,
                "obsid": OBSID,
                "label": label,
                "ra_deg": 150.0 + label / 1000,
                "dec_deg": 2.2,
                "pos_err_arcsec": 1.5,
                "y_lo": 45 + label % 20,
                "y_hi": 47 + label % 20,
                "x_lo": 35 + label % 30,
                "x_hi": 36 + label % 30,
                "sigma_peak": 5.0 - label,
                "kind": "peak",
                "t_start": T_LO + 210.0,
                "t_stop": T_LO + 255.0,
                "duration": 45.0,
                "duration_err": 3.0,
                "excess": 20.0,
                "excess_lo": 16.0,
                "excess_hi": 25.0,
                "fap_obs": 1e-4,
                **values,
            }
            for label in range(n)
        ),
    )


def make_cells() -> pd.DataFrame:
    found = [("peak", 0, 45, 35), ("peak", 3, 45, 35), ("eclipse", 5, 46, 36), ("peak", 5, 46, 36)]
    found.append(("eclipse", 9, 50, 40))
    columns = ("kind", "frame", "y", "x")
    return rows(
        "cells", *({"runid": RUNID, **dict(zip(columns, cell, strict=True))} for cell in found)
    )


def make_curve(n: np.ndarray, mu: np.ndarray, label: int = 0, **flags: Any) -> pd.DataFrame:
    frame = pd.DataFrame({"time": T_LO + 50.0 * np.arange(len(n)), "n": n, "mu": mu})
    frame = frame.assign(detid=f"{RUNID}_{label}", runid=RUNID, obsid=OBSID, label=label)
    frame = frame.assign(live=1.0, bti=False, bccd=False, **{"B_peak_log": log10_b_peak(n, mu)})
    frame = frame.assign(B_eclipse_log=log10_b_eclipse(n, mu))
    return TABLES["lightcurves"].frame(frame.assign(**flags))


def noise(n_frames: int, mu: float = 20.0, label: int = 0, **flags: Any) -> pd.DataFrame:
    n = np.random.default_rng(n_frames).poisson(mu, n_frames)
    return make_curve(n, np.full(n_frames, mu), label, **flags)


def make_rates(n_subsets: int = 2) -> pd.DataFrame:
    random = np.random.default_rng(2)
    return rows(
        "rates",
        *(
            {
                "obsid": OBSID,
                "subset": subset,
                "instrument": camera,
                "expid": f"S00{subset}",
                "time": T_LO + 20_000 * subset + 100.0 * i + (i > 20) * 2000,
                "width": 100.0,
                "n": random.poisson(400),
                "n_hard": random.poisson(20),
            }
            for subset in range(n_subsets)
            for camera in ("EPN", "EMOS1")
            for i in range(50)
        ),
    )


def make_exposures() -> pd.DataFrame:
    common = {"obsid": OBSID, "submode": "PrimeFullWindow", "filter": "Thin1"}
    used = {"filename": "a", "instrument": "EPN", "expid": "S000", "used": True}
    left_out = {"filename": "b", "instrument": "EMOS2", "expid": "S001", "reason": "Timing."}
    return rows("exposures", {**common, **used}, {**common, **left_out})


def make_observation() -> pd.DataFrame:
    text = {"obsid": OBSID, "target": "Test", "date_obs": "2001-03-03T10:00:00"}
    return rows("observations", {**text, "n_exposures": 4, "n_subsets": 2, **PLANE_COLUMNS})


def make_bti() -> pd.DataFrame:
    return rows("bti", {"runid": RUNID, "obsid": OBSID, "START": T_LO + 200, "STOP": T_LO + 700})


def image_of(regions: pd.DataFrame, cells: pd.DataFrame, **run: Any) -> Figure:
    return detection_image(
        make_run(**run).iloc[0], make_image().iloc[0], cells, regions, PLANE, None, "Test"
    )


def curve_of(curve: pd.DataFrame, **run: Any) -> Figure:
    return region_light_curve(make_run(**run).iloc[0], make_regions().iloc[0], curve)


def draw(figure: Figure) -> None:
    """Lay it out and render it: what cannot be drawn shows only then."""
    FigureCanvasAgg(figure).draw()


def labels(axes: Axes) -> str:
    return f"{axes.get_xlabel()} {axes.get_ylabel()}"


def legend_texts(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


# ------------------------------------------------------------------ thresholds


@given(
    st.lists(st.floats(1e-4, 3000), min_size=1, max_size=20),
    st.sampled_from([2.0, 3.0, 5.0]),
)
def test_limits_are_those_of_direct_evaluation(mu: list[float], sigma: float) -> None:
    eclipse, peak = significance_limits(mu, sigma)
    for value, low, high in zip(mu, eclipse, peak, strict=True):
        if value < 900:  # above 1000 the Gaussian relation holds instead
            n = np.arange(2000)
            peaks = n[log10_b_peak(n, value) >= threshold(sigma, "peak")]
            eclipses = n[log10_b_eclipse(n, value) >= threshold(sigma, "eclipse")]
            assert high == peaks.min()
            assert low == eclipses.max() if len(eclipses) else np.isnan(low)
        assert not low >= value
        assert high > value


def test_limits_are_nan_without_expectation() -> None:
    eclipse, peak = significance_limits([np.nan, 0.0, -1.0, 1e-8], 3)
    assert np.isnan(eclipse).all()
    assert np.isnan(peak).all()
    assert all(len(part) == 0 for part in significance_limits([], 3))


# ------------------------------------------------------------------ light curves


def test_light_curve_has_units_and_marks() -> None:
    n = np.full(80, 20)
    n[10], n[30] = 90, 0
    figure = curve_of(make_curve(n, np.full(80, 20.0)))
    draw(figure)
    upper, lower = figure.axes
    assert "ct / 50 s" in labels(upper)
    assert "(ks)" in labels(lower)
    assert "UTC" in labels(lower)
    assert "Bayes factor" in labels(lower)
    texts = legend_texts(figure)
    assert {"peak of 3σ or more", "eclipse of 3σ or more", "within 3σ", "within 5σ"} <= set(texts)
    marked = {line.get_label(): line.get_xdata() for line in upper.get_lines()}
    np.testing.assert_allclose(marked["peak of 3σ or more"], [0.525])
    np.testing.assert_allclose(marked["eclipse of 3σ or more"], [1.525])
    title = figure.get_suptitle()
    assert all(part in title for part in (f"{RUNID}_0", "0.2–12 keV", "50 s", "150.00000°", "1.5″"))


@pytest.mark.parametrize(("p_log", "words"), [(np.nan, "of"), (-8.4, "in a window of")])
def test_frames_of_significant_cells_and_windows_are_marked(p_log: float, words: str) -> None:
    start = T_LO + np.array([500.0, 1025.0, 1525.0])
    cells = rows("cells", *({"runid": RUNID, "kind": "peak", "TIME_lo": t} for t in start[:2]))
    other = rows("cells", {"runid": RUNID, "kind": "eclipse", "TIME_lo": start[2]})
    found = pd.concat([cells, other]).assign(p_log=p_log)
    run, region = make_run(p_log=p_log).iloc[0], make_regions().iloc[0]
    figure = region_light_curve(run, region, make_curve([20] * 80, np.full(80, 20.0)), found)
    draw(figure)
    for axes in figure.axes:
        marked = {line.get_label(): line.get_xdata() for line in axes.get_lines()}
        # A window from the middle of a frame on lies in two of them.
        np.testing.assert_allclose(marked[f"peak {words} 3σ or more"], [0.525, 1.025, 1.075])
        np.testing.assert_allclose(marked[f"eclipse {words} 3σ or more"], [1.525, 1.575])
    assert ("probability 10$^{-8.4}$" in figure.get_suptitle()) == (p_log < 0)


@pytest.mark.parametrize("shifts", [1, 2, 3, 7])
@given(st.data())
def test_significant_frames_are_covered_by_half(shifts: int, data: st.DataObject) -> None:
    t_bin = data.draw(st.sampled_from([0.3, 5.0, 1500.0]))
    starts = T_LO + t_bin * np.arange(12)
    steps = data.draw(st.lists(st.integers(0, 11 * shifts), max_size=4))
    cells = pd.DataFrame(
        {"kind": "peak", "TIME_lo": [T_LO + step * t_bin / shifts for step in steps]}
    )
    found = significant_frames(starts, {"t_bin": t_bin}, cells, "peak")
    for frame in range(12):
        # In units of a frame divided by the shifts, so that nothing is rounded.
        shared = [shifts - abs(frame * shifts - step) for step in steps]
        assert found[frame] == any(2 * part >= shifts for part in shared)
    assert not significant_frames(starts, {"t_bin": t_bin}, cells, "eclipse").any()
    assert not significant_frames(starts, {"t_bin": t_bin}, None, "peak").any()


def test_titles_say_sigma_and_what_excess_is_corrected_for() -> None:
    curve = noise(80)
    for method, words in (("psf", "PSF-corrected excess 20"), ("centroid", "excess in region 20")):
        region = make_regions(sigma_eclipse=3.4, pos_method=method).iloc[1]
        title = region_light_curve(make_run().iloc[0], region, curve).get_suptitle()
        assert "peak 4.0σ, eclipse 3.4σ" in title
        assert words in title
        assert ("PSF" in title) == (method == "psf")


def test_sigmas_without_a_number_or_beyond_the_largest() -> None:
    region = {"kind": "eclipse", "sigma_peak": np.nan, "sigma_eclipse": 10.0}
    assert sigma_text({}, region) == "eclipse 10σ or more"
    assert sigma_text({}, region | {"kind": "peak"}) == "peak of unknown σ, eclipse 10σ or more"


def test_long_light_curve_has_a_close_up_of_its_peak() -> None:
    curve = noise(3000, 0.2)
    n = curve["n"].to_numpy().copy()
    n[2000] = 40
    figure = curve_of(make_curve(n, curve["mu"].to_numpy()))
    draw(figure)
    assert len(figure.axes) == 4
    low, high = figure.axes[1].get_xlim()
    np.testing.assert_allclose([low, high], [0.05 * 1960, 0.05 * 2041])
    assert all(text.strip() for text in map(labels, (figure.axes[0], *figure.axes[2:])))


@pytest.mark.parametrize(
    ("n_frames", "flags"),
    [
        (1, {}),
        (1, {"bccd": True}),
        (80, {"bti": True}),
        (450, {"bti": True, "bccd": True}),
        (1000, {"bccd": True}),
    ],
)
def test_odd_light_curves(n_frames: int, flags: dict[str, bool]) -> None:
    draw(curve_of(noise(n_frames, **flags)))


@pytest.mark.parametrize("n_frames", [1, 1000])
def test_light_curve_without_expectation(n_frames: int) -> None:
    draw(curve_of(make_curve(np.zeros(n_frames, int), np.zeros(n_frames))))


def test_enormous_bayes_factors_keep_the_thresholds_apart() -> None:
    n = np.full(80, 20)
    n[10] = 3000
    figure = curve_of(make_curve(n, np.full(80, 20.0)))
    draw(figure)
    lower = figure.axes[1]
    low, high = lower.transAxes.inverted().transform(
        lower.transData.transform([(0, threshold(3, "peak")), (0, threshold(5, "peak"))])
    )[:, 1]
    assert high - low > 0.05


# ------------------------------------------------------------------ images


def test_image_lies_right_on_the_sky() -> None:
    wcs = cell_wcs(PLANE, GRID.size_arcsec)
    x, y = np.array([20000.0, 30000.0]), np.array([22000.0, 31000.0])
    cell_x, cell_y = wcs.wcs_world2pix(*PLANE.to_sky(x, y), 0)
    np.testing.assert_allclose(cell_x, x / GRID.width - 0.5, atol=1e-6)
    np.testing.assert_allclose(cell_y, y / GRID.width - 0.5, atol=1e-6)


def test_image_of_a_run() -> None:
    figure = image_of(make_regions(), make_cells())
    draw(figure)
    axes, bar = figure.axes
    assert "Right ascension (ICRS, h m s)" in labels(axes)
    assert "Declination (ICRS, ° ′ ″)" in labels(axes)
    assert "ct" in bar.get_ylabel()
    texts = legend_texts(figure)
    assert {"no counts", "1 cell: peak", "1 cell: eclipse", "1 cell: peak and eclipse"} <= set(
        texts
    )
    assert "2 regions" in texts
    title = figure.get_suptitle()
    assert all(part in title for part in ("Test", OBSID, "0.2–12 keV", "50 s", "2 var"))
    left, right = (axes.wcs.wcs_pix2world(x, 50, 0)[0] for x in axes.get_xlim())
    assert left > right, "east is left"
    (picture,) = axes.get_images()
    assert np.ma.getmaskarray(picture.get_array())[:5].all(), "no counts differ from few"
    assert picture.get_extent() == [29.5, 69.5, 39.5, 69.5]


def test_cells_of_both_kinds() -> None:
    kinds = cell_kinds(make_cells())
    assert kinds.to_numpy().tolist() == [[45, 35, "peak"], [46, 36, "both"], [50, 40, "eclipse"]]


def test_labels_of_regions_do_not_overlap() -> None:
    figure = image_of(make_regions(25), make_cells())
    draw(figure)
    boxes = [Text.get_window_extent(text) for text in figure.axes[0].texts]
    assert len(boxes) == 25
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_image_of_many_regions_labels_the_most_significant() -> None:
    figure = image_of(make_regions(100), make_cells())
    draw(figure)
    assert len(figure.axes[0].texts) == 60
    assert "100 regions, the 60 most significant labelled" in legend_texts(figure)


def test_image_without_detections_or_counts() -> None:
    nothing = TABLES["regions"].frame(), TABLES["cells"].frame()
    draw(image_of(*nothing))
    empty = rows(
        "images", {"runid": RUNID, "n": [], "mu": [], "source_mask": [], "n50": [], "n90": []}
    )
    run = make_run(y_lo=0, y_hi=0, x_lo=0, x_hi=0, n_regions=0).iloc[0]
    draw(detection_image(run, empty.iloc[0], nothing[1], nothing[0], PLANE))


def test_image_with_known_sources() -> None:
    source = {"obsid": OBSID, "mask_radius_arcsec": 40.0, "ra_deg": 150.0, "dec_deg": 2.2}
    far = {**source, "ra_deg": 330.0, "dec_deg": -2.2}
    figure = detection_image(
        make_run().iloc[0],
        make_image().iloc[0],
        make_cells(),
        make_regions(),
        PLANE,
        rows("known_sources", source, far),
    )
    draw(figure)
    assert "known source (radius of its mask)" in legend_texts(figure)


# ------------------------------------------------------------------ overview


def test_overview() -> None:
    figure = observation_overview(
        make_observation().iloc[0], make_rates(), make_bti(), make_exposures()
    )
    draw(figure)
    upper, lower = figure.axes
    assert "(ct/s)" in labels(upper)
    assert "10–12 keV (ct/s)" in labels(lower)
    assert "(ks)" in labels(lower)
    assert {text.get_text() for text in upper.texts} == {"subset 0", "subset 1"}
    assert "EPN S000 (PrimeFullWindow, Thin1)" in legend_texts(figure)
    assert any(list(line.get_ydata()) == [0.5, 0.5] for line in lower.get_lines())
    title = figure.get_suptitle()
    assert all(part in title for part in ("Test", OBSID, "2001-03-03 10:00:00", "1 left out"))


def test_overview_of_rings_of_the_field() -> None:
    """Subsets of the same time share a label and differ in their lines.

    A camera without hard events has no flares.
    """
    first = make_rates(1)
    rates = pd.concat([first.assign(subset=number, n_hard=0) for number in range(4)])
    figure = observation_overview(make_observation().iloc[0], rates, make_bti(), make_exposures())
    draw(figure)
    upper, lower = figure.axes
    assert [text.get_text() for text in upper.texts] == ["subsets 0–3"]
    lines: dict[str, set[str]] = {}
    for stairs in upper.patches:
        lines.setdefault(str(stairs.get_label()), set()).add(str(stairs.get_linestyle()))
    for instrument in set(rates["instrument"]):
        own = [style for label, style in lines.items() if label.startswith(instrument)]
        assert len(own) == 4, "each subset has a label of its own"
        assert len(set.union(*own)) == 4, "and a line of its own"
    assert ["bad time is not looked for" in text.get_text() for text in lower.texts] == [True]


def test_overview_breaks_lines_at_gaps() -> None:
    figure = observation_overview(
        make_observation().iloc[0], make_rates(1), make_bti(), make_exposures()
    )
    assert len(figure.axes[0].patches) == 4, "two cameras, each with one gap"


@pytest.mark.parametrize("n_subsets", [0, 7])
def test_overview_of_nothing_and_of_many_exposures(n_subsets: int) -> None:
    empty = n_subsets == 0
    figure = observation_overview(
        make_observation().iloc[0],
        make_rates(n_subsets),
        TABLES["bti"].frame() if empty else make_bti(),
        TABLES["exposures"].frame() if empty else make_exposures(),
    )
    draw(figure)
    assert len(legend_texts(figure)) <= 4


# ------------------------------------------------------------------ saving


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    made = Archive.create(tmp_path / "archive", Config())
    tables = {
        "observations": make_observation(),
        "exposures": make_exposures(),
        "bti": make_bti(),
        "runs": make_run(),
        "cells": make_cells().assign(obsid=OBSID),
        "regions": make_regions(),
        "images": make_image(),
        "rates": make_rates(),
        "lightcurves": pd.concat([noise(80), noise(80, label=1)], ignore_index=True),
    }
    made.commit(OBSID, "OK", tables)
    return made


def names(paths: list[Path]) -> list[str]:
    return [path.name for path in paths]


def test_save_observation(archive: Archive, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "plots"
    paths = save_observation(archive, OBSID, folder)
    assert names(paths) == [
        f"{OBSID}_overview.png",
        f"{RUNID}_image.png",
        f"{RUNID}_0_lightcurve.png",
        f"{RUNID}_1_lightcurve.png",
    ]
    assert sorted(folder.iterdir()) == sorted(paths)
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


def test_save_observation_says_what_it_leaves_out(
    archive: Archive, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        paths = save_observation(archive, OBSID, tmp_path / "plots", max_light_curves=1)
    assert names(paths)[-1] == f"{RUNID}_0_lightcurve.png", "the most significant one"
    assert "1 of 2 light curves are not drawn" in caplog.text


def test_save_observation_without_regions_draws_the_middle_run(tmp_path: Path) -> None:
    archive = Archive.create(tmp_path / "archive", Config())
    bins, bands = (5.0, 50.0, 200.0), ((0.2, 2.0), (2.0, 12.0), (0.2, 12.0))
    keys = [
        {"t_bin": b, "e_lo": lo, "e_hi": hi, "runid": f"{OBSID}_0_{b:g}_{lo}_{hi}", "n_regions": 0}
        for b in bins
        for lo, hi in bands
    ]
    tables = {
        "observations": make_observation(),
        "runs": pd.concat([make_run(**key) for key in keys], ignore_index=True),
        "images": pd.concat([make_image().assign(runid=key["runid"]) for key in keys]),
    }
    archive.commit(OBSID, "EMPTY", tables)
    paths = save_observation(archive, OBSID, tmp_path / "plots")
    assert names(paths) == [f"{OBSID}_overview.png", f"{OBSID}_0_50_0.2_12.0_image.png"]


def test_save_detection(archive: Archive, tmp_path: Path) -> None:
    paths = save_detection(archive, f"{RUNID}_1", tmp_path / "plots")
    assert names(paths) == [f"{RUNID}_1_lightcurve.png", f"{RUNID}_image.png"]


@pytest.mark.parametrize(
    "detid", [f"{RUNID}_7", f"{OBSID}_3_5_0.2_2.0_0", "9999999999_0_5_0.2_2.0_0", "", "no", "../x"]
)
def test_unknown_detections(archive: Archive, tmp_path: Path, detid: str) -> None:
    with pytest.raises(ArchiveError):
        save_detection(archive, detid, tmp_path / "plots")
    assert not (tmp_path / "plots").exists()


def test_unknown_and_failed_observations(archive: Archive, tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match="no observation 0000000001"):
        save_observation(archive, "0000000001", tmp_path)
    archive.commit("0000000002", "FAILED", reason="The event list is truncated.")
    with pytest.raises(ArchiveError, match="truncated"):
        save_observation(archive, "0000000002", tmp_path)


def test_pictures_appear_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")
    figure = Figure()

    def fail(name: Path, **options: Any) -> None:
        assert Path(name) != path
        Path(name).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(ArchiveError, match="No space left"):
        save_figure(figure, path)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


# ------------------------------------------------------------------ texts


def test_ten_time_bins_have_ten_colours_and_lines() -> None:
    assert len({series_style(number) for number in range(28)}) == 28


@pytest.mark.parametrize("low", [5e-15, 0.02, 3.0, 4e4])
@pytest.mark.parametrize("factor", [1.5, 4.0, 30.0, 1e4])
def test_labels_of_short_logarithmic_axes_do_not_meet(low: float, factor: float) -> None:
    figure = Figure(figsize=(3, 2))
    axes = figure.subplots()
    axes.set_xscale("log")
    axes.set_xlim(low, low * factor)
    label_logarithm(axes.xaxis)
    draw(figure)
    ticks = (*axes.get_xticklabels(), *axes.get_xticklabels(minor=True))
    high = low * factor
    inside = [text for text in ticks if text.get_text() and low <= text.get_position()[0] <= high]
    boxes = [Text.get_window_extent(text) for text in inside]
    assert len(boxes) >= 2, "one label says nothing of the scale"
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_texts() -> None:
    assert position_text(0.0, -0.0001).endswith("−00°00′00.4″")
    assert plural(0, "cell") == "0 cells"
    assert spans(np.zeros(3, bool)) == []
    assert spans(np.ones(3, bool)) == [(0, 3)]
