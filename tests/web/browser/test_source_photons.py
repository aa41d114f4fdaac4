"""A source with photons: bins, blocks, movie, likes and history, against the files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pandas as pd
import pytest
from astropy.stats import bayesian_blocks
from helpers.barriers import barriers
from helpers.faults import GOOD
from playwright.sync_api import expect

from exod.archive import Archive, open_archive
from exod.config import Config
from exod.pps import find_observations
from exod.scheduler.plan import Plan
from exod.stages.derive.cluster import cluster_archive
from exod.stages.derive.features import make_features
from exod.stages.derive.flags import make_flags
from exod.stages.detect.observation import detect_to_archive
from exod.stages.explore.making import make_explorer
from exod.web.app import make_app
from exod.web.product import Product
from exod.web.serving import running

HERE = Plan("sync")


@pytest.fixture(scope="module")
def near(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """An archive with photons, of an observation that was simulated."""
    root = str(tmp_path_factory.mktemp("near") / "archive")
    settings = ["cube.t_bin=[50,250]", "cube.bands=[[0.2,12]]", "detect.sigma=1.2"]
    (files,), _ = find_observations([small / GOOD])
    detect_to_archive(files, Config.load(overrides=settings), root)
    archive = open_archive(root)
    cluster_archive(root, HERE)
    make_features(archive, HERE)
    make_flags(archive, plan=HERE)
    made = make_explorer(archive, photons="recorded", plan=HERE)
    assert made.n_photons > 0
    assert made.left_out == {}
    return archive


@pytest.fixture(scope="module")
def photons(near: Archive) -> pd.DataFrame:
    with Product(near).opened("photons.parquet") as source:
        return pd.read_parquet(source)


@pytest.fixture(scope="module")
def address(near: Archive) -> Iterator[str]:
    with running(make_app(near)) as server:
        yield server


def richest(photons: pd.DataFrame) -> tuple[int, pd.DataFrame]:
    number = photons["region_num"].value_counts().idxmax()
    return number, photons[photons["region_num"] == number]


def test_the_api_has_the_photons_of_the_file(address, photons):
    number, rows = richest(photons)
    found = json.loads(urlopen(f"{address}api/v1/photons/{number}?offset=3").read())
    assert found["total"] == len(rows)
    assert found["units"]["pi"] == "eV"
    pd.testing.assert_frame_equal(
        pd.DataFrame(found["columns"]),
        rows[3:].drop(columns="region_num").reset_index(drop=True),
        check_dtype=False,
    )
    assert rows["time"].is_monotonic_increasing
    other = f"{address}api/v1/photons/{number}?obsid=0000000000"
    assert json.loads(urlopen(other).read())["total"] == 0


def test_photons_are_rebinned_without_losing_any(chromium, address, photons):
    number, rows = richest(photons)
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.goto(f"{address}source/{number}?bin=50&blocks=yes&radius=30")
    page.wait_for_selector("body[data-ready=yes]")
    panel = page.get_by_role("region", name="Photons", exact=True)
    curve = panel.locator(".curve")
    inside = rows[np.hypot(rows["dx"], rows["dy"]) <= 600]
    wanted = inside[(inside["pi"] >= 200) & (inside["pi"] < 12000)]
    assert len(wanted) > 20
    expect(curve).to_have_attribute("data-total", str(len(wanted)))
    blocks = len(bayesian_blocks(wanted["time"], p0=0.05)) - 1
    expect(panel.locator("p[aria-live]").first).to_contain_text(f"{blocks} block")
    slider = page.get_by_label("Width of a bin in seconds")
    for key in ("Home", "End", "ArrowLeft"):
        slider.press(key)
        expect(curve).to_have_attribute("data-total", str(len(wanted)))
    assert "bin=19" in page.url
    panel.get_by_label("from").fill("2")
    panel.get_by_label("from").press("Enter")
    harder = wanted[wanted["pi"] >= 2000]
    assert len(harder) < len(wanted)
    expect(curve).to_have_attribute("data-total", str(len(harder)))
    page.reload()
    expect(curve).to_have_attribute("data-total", str(len(harder)))
    context.close()


def test_the_movie_stops_for_those_who_want_less_motion(chromium, address, photons):
    number, _ = richest(photons)
    page = chromium.new_page()
    page.goto(f"{address}source/{number}")
    page.wait_for_selector("body[data-ready=yes]")
    movie = page.get_by_role("group", name="Movie")
    moment = movie.get_by_label("Moment of the image")
    before = moment.input_value()
    movie.get_by_role("button", name="Play").click()
    expect(moment).not_to_have_value(before)
    page.emulate_media(reduced_motion="reduce")
    expect(movie.get_by_role("button", name="Play")).to_be_disabled()
    page.reload()
    page.wait_for_selector("body[data-ready=yes]")
    expect(movie.get_by_role("button")).to_be_disabled()
    moment.focus()
    moment.press("End")
    expect(moment).to_have_value("400")
    movie.get_by_label("What the image shows").select_option("residual")
    expect(movie).to_contain_text("than expected")
    expect(movie.locator(".shadekey")).to_contain_text("−")
    # A light curve that was searched is pointed at: its clock is that of the photons.
    curve = page.get_by_role("group", name="Light curve").first.locator(".u-over")
    curve.scroll_into_view_if_needed()
    box = curve.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 3, box["y"] + 30)
    expect(moment).not_to_have_value("400")
    labels = page.locator("details summary", has_text="Values")
    for place in range(labels.count()):
        labels.nth(place).click()
    heads = page.locator("th", has_text="seconds from MJD").all_inner_texts()
    assert len(heads) > 1
    assert len(set(heads)) == 1
    assert barriers(page) == []
    page.close()


def test_hardness_before_during_and_after_the_event(chromium, address, near, photons):
    number, rows = richest(photons)
    with Product(near).opened("detections.parquet") as source:
        own = pd.read_parquet(source).query("region_num == @number")
    best = own.loc[own[["sigma_peak", "sigma_eclipse"]].max(axis=1).idxmax()]
    page = chromium.new_page()
    page.goto(f"{address}source/{number}?radius=60&elo=5")
    page.wait_for_selector("body[data-ready=yes]")
    shown = page.locator("table[data-chart=hardness] tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.children].map(cell => cell.textContent))"
    )
    page.goto(f"{address}obs/{best['obsid']}")
    page.wait_for_selector("body[data-ready=yes]")
    exposures = near.observation(best["obsid"], "rates")["rates"]["expid"].nunique()
    assert page.locator("svg.rates").count() == exposures > 0
    field = page.get_by_role("region", name="Field", exact=True)
    expect(field).to_contain_text("North is up")
    box = field.locator("canvas").bounding_box()
    with Product(near).opened("runs.parquet") as source:
        runs = pd.read_parquet(source).set_index("runid")
    run = field.get_by_label("Run of the image").input_value()
    wide, high = (runs.loc[run, f"{axis}_hi"] - runs.loc[run, f"{axis}_lo"] for axis in "xy")
    assert box["height"] / box["width"] == pytest.approx(high / wide, rel=0.02)
    assert barriers(page) == []
    page.close()
    rows = rows[(rows["pi"] >= 200) & (rows["pi"] < 12000)]
    rows = rows[np.hypot(rows["dx"], rows["dy"]) <= 1200]
    when = np.digitize(rows["time"], [best["t_start"], best["t_stop"]])
    for place, (name, soft, hard, _) in enumerate(shown):
        inside = rows[when == place]
        assert name == ("before", "during", "after")[place]
        assert (int(soft), int(hard)) == ((inside["pi"] < 2000).sum(), (inside["pi"] >= 2000).sum())


def test_likes_and_history_are_on_the_page(visitor, product):
    visitor.visit("/source/0")
    page = visitor.page
    similar = page.get_by_role("region", name="Similar light curves")
    with product.opened("neighbours.parquet") as source:
        rows = pd.read_parquet(source)
    others = rows.loc[rows["region_num"] != 0, "region_num"].nunique()
    expect(similar.get_by_role("listitem")).to_have_count(1 + min(others, 12))
    if product.files["coverage.parquet"].rows:
        history = page.get_by_role("region", name="All observations", exact=True)
        with product.opened("coverage.parquet") as source:
            coverage = pd.read_parquet(source)
        own = coverage[coverage["region_num"] == 0]
        expect(history.locator("svg a")).to_have_count(int(own["mjd"].notna().sum()))
    assert page.get_by_role("region", name="Photons", exact=True).count() == 0


@pytest.mark.drill
def test_photons_are_kept_while_nothing_of_them_changes(near, photons):
    before = near.derived("explorer")
    again = make_explorer(near, plan=HERE)
    assert not again.made
    make_flags(near, plan=HERE, force=True)
    made = make_explorer(near, plan=HERE)
    assert made.made
    after = near.derived("explorer")
    assert after.version != before.version
    assert after.of("photons") == before.of("photons")
    assert made.n_photons == len(photons)
    near.gc(0)
    with Product(near).opened("photons.parquet") as source:
        pd.testing.assert_frame_equal(pd.read_parquet(source), photons)
