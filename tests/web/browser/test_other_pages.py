"""Pages of sources, detections and observations, and all pages for readers with special needs."""

from __future__ import annotations

import pandas as pd
import pytest
from axe_playwright_python.sync_playwright import Axe
from helpers.explored import HOSTILE
from playwright.sync_api import expect

RULES = {
    "light": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "dark": ["color-contrast"],
}
"""What axe looks at; in the dark only colours differ."""


def test_a_source_shows_its_light_curves_and_leads_further(
    visitor, frames: dict[str, pd.DataFrame]
) -> None:
    page = visitor.page
    source = frames["sources"].iloc[0]
    own = frames["detections"][frames["detections"]["region_num"] == source["region_num"]]
    visitor.visit(f"/source/{source['region_num']}")
    expect(page.locator("h1")).to_have_text(source["srcid"])
    expect(page.get_by_role("group", name="Light curve")).to_have_count(len(own))
    expect(page.locator("figure canvas")).to_have_count(len(own))
    figure = page.get_by_role("group", name="Light curve").first
    figure.locator("summary").click()
    expect(figure.locator("tbody tr")).to_have_count(30)
    with page.expect_download() as saved:
        page.get_by_role("button", name="Light curves, CSV").click()
    curves = pd.read_csv(saved.value.path())
    assert len(curves) == 30 * len(own)
    assert set(curves["detid"]) == set(own["detid"])
    link = figure.locator("figcaption a")
    detid = link.get_attribute("href").rpartition("/")[2]
    link.click()
    expect(page.locator("h1")).to_have_text(detid)
    visitor.wait()


def test_hostile_text_is_text(visitor, frames: dict[str, pd.DataFrame]) -> None:
    obsid = frames["detections"]["obsid"].iloc[0]
    visitor.visit(f"/obs/{obsid}")
    expect(visitor.page.locator("h1")).to_have_text(f"Observation {obsid}: {HOSTILE}")
    assert visitor.page.locator("main img[src=x]").count() == 0
    assert "hit" not in visitor.page.title()


def test_a_name_leads_to_its_source(visitor, frames: dict[str, pd.DataFrame]) -> None:
    name = frames["sources"]["srcid"].iloc[1]
    visitor.visit(f"/name/{name.removeprefix('EXOD ')}")
    expect(visitor.page.locator("h1")).to_have_text(name)
    visitor.wait()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pages_have_no_barriers(
    chromium, addresses: dict[str, str], frames: dict[str, pd.DataFrame], theme: str
) -> None:
    one = frames["detections"].iloc[0]
    context = chromium.new_context(
        viewport={"width": 1280, "height": 900}, color_scheme=theme, bypass_csp=True
    )
    context.set_default_timeout(60_000)
    page = context.new_page()
    found = []
    for view in (
        *("?sigma=9-63&where=ra_deg>0", f"source/{one['region_num']}", f"obs/{one['obsid']}"),
        *(f"detection/{one['detid']}", "columns", "about", "vet", "nothing"),
    ):
        page.goto(addresses["server"] + view)
        page.wait_for_selector("body[data-ready=yes]")
        options = {"resultTypes": ["violations"], "runOnly": RULES[theme]}
        answer = Axe().run(page, options=options).response
        found += [
            f"{view}: {rule['id']}: {node['html'][:200]}"
            for rule in answer["violations"]
            for node in rule["nodes"]
            # The plot above small handles does the same: an equivalent, as WCAG 2.5.8 has it.
            if not (rule["id"] == "target-size" and node["html"].startswith('<input type="range"'))
        ]
    context.close()
    assert not found, "\n".join(found)
