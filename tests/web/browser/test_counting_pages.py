"""Pages of runs, statistics and changes: their numbers are those of pandas and of the ledger."""

from __future__ import annotations

import shutil
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from helpers.barriers import barriers
from helpers.explored_states import chosen
from helpers.query_archives import publish_tables
from helpers.survey_archives import fill
from playwright.sync_api import expect

from exod.archive import Archive, open_archive
from exod.archive.ledger.progress import archive_progress
from exod.archive.ledger.running import search_recorded
from exod.scheduler.tally import Tally
from exod.schemas import LINEAGE, MEMBERS, UNIQUE
from exod.stages.explore.making import make_explorer
from exod.web.app import make_app
from exod.web.product import Product
from exod.web.serving import running


def numbers(place) -> dict[str, int]:
    """A table of names and counts, whether it is open or not."""
    rows = place.locator("tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.children].slice(0, 2).map(cell => cell.textContent))"
    )
    return {name: int(count.replace(",", "")) for name, count in rows}


@pytest.mark.parametrize("view", ["/stats", "/stats?table=detections&sigma=20-50&kind=0"])
def test_statistics(visitor, frames: dict[str, pd.DataFrame], product: Product, view: str) -> None:
    visitor.visit(view)
    table = "detections" if "detections" in view else "sources"
    about, state = product.about(table), visitor.state()
    rows = frames[table]
    found = rows[chosen(rows, about, state)]
    assert visitor.title == f"Statistics of {len(found)} of {len(rows)} {table}"
    for facet in about["facets"]:
        if facet["kind"] == "codes" and not facet["labels"]:
            continue
        codes = found[f"i.{facet['name']}"]
        counts = numbers(visitor.page.locator(f"[data-chart={facet['name']}]"))
        assert sum(counts.values()) == int((codes != 255).sum()), facet["name"]
        assert sorted(counts.values()) == sorted(codes[codes != 255].value_counts()), facet["name"]
    flags = numbers(visitor.page.locator("[data-chart=flags]"))
    bits = found["i.flags"].to_numpy(int)
    assert list(flags.values()) == [
        int((bits >> bit & 1).sum()) for bit in range(len(about["flags"]))
    ]
    dates = found["t_start_mjd" if table == "detections" else "best_t_start_mjd"].dropna()
    years = (np.datetime64("1858-11-17") + dates.to_numpy().astype("timedelta64[D]")).astype(
        "datetime64[Y]"
    )
    own = Counter(str(year) for year in years)
    assert numbers(visitor.page.locator("[data-chart=year]")) == dict(own)


def test_statistics_of_nothing(visitor) -> None:
    visitor.visit("/stats?where=sigma_peak>1e9")
    expect(visitor.page.locator("main")).to_contain_text("Nothing fulfils these conditions.")


@pytest.fixture(scope="module")
def reprocessed(explored: Archive, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """The same archive with a history of three versions of its sources."""
    root = tmp_path_factory.mktemp("reprocessed") / "results"
    shutil.copytree(explored.root, root)
    archive = open_archive(root)
    sources = archive.unique.compute()
    rows = [
        *((int(number), "new", -1, 1) for number in sources["region_num"]),
        *((1000, "new", -1, 1), (1001, "new", -1, 1), (1000, "gone", -1, 2)),
        *((1001, "merged", 0, 2), (2, "split", 1, 2), (3, "renamed", -1, 3), (4, "split", 2, 3)),
    ]
    names = ("region_num", "change", "other", "generation")
    lineage = [
        {
            **dict(zip(names, row, strict=True)),
            "srcid": f"EXOD {row[0]}",
            "version": VERSIONS[row[3]],
        }
        for row in rows
    ]
    members = archive.members.compute()
    publish_tables(
        archive, "unique", {UNIQUE: sources, MEMBERS: members, LINEAGE: fill(LINEAGE, lineage)}
    )
    make_explorer(archive)
    sources.loc[::2, "sigma_peak"] *= 1.5
    sources.loc[sources.index[:2], "sigma_eclipse"] = np.nan
    rows = fill(LINEAGE, [*lineage, {**lineage[-1], "version": VERSIONS[4], "generation": 4}])
    publish_tables(archive, "unique", {UNIQUE: sources, MEMBERS: members, LINEAGE: rows})
    make_explorer(archive)
    return archive


VERSIONS = {number: f"2026010{number}T000000-0000000{number}" for number in (1, 2, 3, 4)}


def test_changes_between_versions(
    reprocessed: Archive, frames: dict[str, pd.DataFrame], chromium
) -> None:
    lineage = reprocessed.lineage.compute()
    with running(make_app(reprocessed)) as base:
        page = chromium.new_page(viewport={"width": 390, "height": 800})
        for view, first, last in (
            ("compare", 4, 4),
            ("compare?a=start", 1, 4),
            (f"compare?a={VERSIONS[1]}", 2, 4),
            (f"compare?a=start&b={VERSIONS[1]}", 1, 1),
            (f"compare?b={VERSIONS[2]}", 2, 2),
        ):
            page.goto(base + view)
            page.wait_for_selector("body[data-ready=yes]")
            own = lineage[lineage["generation"].between(first, last)]
            assert numbers(page.locator("[data-chart=changes]")) == dict(Counter(own["change"]))
            for change, rows in own.groupby("change"):
                listed = page.locator(f"details[data-change={change}] tbody tr")
                assert listed.count() == len(rows)
        # What has ended has no page; what it was merged into has.
        assert page.locator("details[data-change=gone] a").count() == 0
        link = page.locator("details[data-change=merged] a")
        assert link.get_attribute("href") == f"{base}source/0"
        page.goto(f"{base}compare?a={VERSIONS[3]}")
        page.wait_for_selector("body[data-ready=yes]")
        before = frames["sources"].set_index("srcid")[["sigma_peak", "sigma_eclipse"]]
        after = reprocessed.unique.compute().set_index("srcid").loc[before.index, before.columns]
        changed = before.index[~((before == after) | (before.isna() & after.isna())).all(axis=1)]
        assert len(changed) > 5
        listed = page.locator("table[data-chart=significances] tbody tr")
        assert set(listed.locator("a").all_inner_texts()) == set(changed)
        assert page.locator(".beforeafter circle").count() == len(changed)
        name, *cells = listed.first.locator("th, td").all_inner_texts()
        shown = [*before.loc[name], *after.loc[name]]
        for text, value in zip(cells, np.array(shown)[[0, 2, 1, 3]], strict=False):
            assert text == "–" if np.isnan(value) else float(text) == pytest.approx(value, rel=6e-3)
        assert barriers(page) == []
        page.emulate_media(color_scheme="light")
        page.get_by_label("From").select_option("start")
        expect(page.locator("[data-chart=changes]")).to_contain_text("new")
        assert "a=start" in page.url
        page.close()


def test_addresses_of_sources_that_ended_say_what_became_of_them(
    reprocessed: Archive, chromium
) -> None:
    with running(make_app(reprocessed)) as base:
        page = chromium.new_page()
        told = page.locator("main [role=alert]")
        for address in ("source/1001", "name/1001"):
            page.goto(base + address)
            expect(told).to_contain_text("since version 2 of the sources: it merged with source 0.")
            assert told.locator("a").get_attribute("href") == f"{base}source/0"
        page.goto(f"{base}source/1000")
        expect(told).to_contain_text("no detection was left of it")
        page.goto(f"{base}source/1002")
        expect(told).to_have_text("There is no source 1002 in this archive.")
        # A name that a source had leads to it.
        page.goto(f"{base}name/3")
        page.wait_for_url("**/source/3")
        page.wait_for_selector("body[data-ready=yes]")
        number = reprocessed.unique.compute().set_index("region_num")["srcid"]
        assert page.inner_text("h1") == number.loc[3]
        page.close()


def test_versions_that_are_not_there(visitor) -> None:
    visitor.visit("/compare?b=20200101T000000-00000000")
    expect(visitor.page.locator("[role=alert]")).to_contain_text("There is no version 2020")


def test_runs(visitor, explored: Archive) -> None:
    visitor.visit("/runs")
    page = visitor.page
    ledger = numbers(page.locator("section[aria-label=Ledger]"))
    assert ledger == archive_progress(explored).counts
    expect(page.locator("section[aria-label=Now]")).to_contain_text("Nothing is being searched")
    if visitor.mode == "static":
        expect(page.locator("main")).to_contain_text("As it was when these pages were prepared.")
        return
    expect(page.locator("main")).to_contain_text("Live")
    with search_recorded(explored.store, Tally("detect", 15000)):
        now = page.locator("section[aria-label=Now]")
        expect(now).to_contain_text("Running: detect")
        expect(now).to_contain_text("0 of 15,000 observations")
    expect(now).to_contain_text("Nothing is being searched")
