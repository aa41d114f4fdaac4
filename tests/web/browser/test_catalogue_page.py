"""Flows at the catalogue: what one does is in the address, and what is counted is true."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from astropy.io import fits
from astropy.table import Table
from helpers.explored_states import chosen
from helpers.exported_tables import QUERY, READ
from playwright.sync_api import expect
from starlette.testclient import TestClient

from exod.web.product import Product

WRONG = "nothing > 3"


def titled(visitor, frames: dict[str, pd.DataFrame], product: Product, table: str) -> None:
    """Expect the count of the address, by pandas, in the heading."""
    rows, about = frames[table], product.about(table)
    found = int(chosen(rows, about, visitor.state()).sum())
    expect(visitor.page.locator("h1")).to_have_text(f"{found} of {len(rows)} {table}")


def test_facets_are_brushed_and_the_state_is_kept(
    visitor, frames: dict[str, pd.DataFrame], product: Product
) -> None:
    page = visitor.page
    visitor.visit("/?table=detections")
    titled(visitor, frames, product, "detections")
    facet = page.locator("fieldset[data-facet=sigma]")
    box = facet.locator("svg").bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] * 0.401, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.801, middle, steps=3)
    page.mouse.up()
    visitor.wait()
    assert visitor.state() == {"sigma": "25-51"}
    titled(visitor, frames, product, "detections")
    facet.get_by_label("from").focus()
    page.keyboard.press("ArrowRight")
    visitor.wait()
    assert visitor.state() == {"sigma": "26-51"}
    titled(visitor, frames, product, "detections")
    kind = page.locator("fieldset[data-facet=kind] input").first
    kind.focus()
    page.keyboard.press("Space")
    visitor.wait()
    assert visitor.state() == {"sigma": "26-51", "kind": "0"}
    titled(visitor, frames, product, "detections")
    text = visitor.title
    page.reload()
    visitor.wait()
    assert visitor.title == text
    expect(page.locator("fieldset[data-facet=kind] input").first).to_be_checked()
    page.go_back()
    expect(page.locator("fieldset[data-facet=kind] input").first).not_to_be_checked()
    visitor.wait()
    assert visitor.state() == {"sigma": "26-51"}
    titled(visitor, frames, product, "detections")
    facet.get_by_role("button", name="all").click()
    visitor.wait()
    titled(visitor, frames, product, "detections")


def test_conditions_names_circles_and_tables(
    visitor, frames: dict[str, pd.DataFrame], product: Product
) -> None:
    page = visitor.page
    visitor.visit("/")
    titled(visitor, frames, product, "sources")
    page.get_by_role("button", name="detections", exact=True).click()
    visitor.wait()
    rows = len(frames["detections"])
    expect(page.locator("h1")).to_have_text(f"{rows} of {rows} detections")
    for label, text in (
        ("Condition on any column", "not sigma_peak > 5"),
        ("Name of a source", "J0001"),
        ("Circle on the sky", "200,62,500"),
    ):
        page.get_by_label(label).fill(text)
        page.get_by_label(label).press("Enter")
        visitor.wait()
        titled(visitor, frames, product, "detections")
    assert visitor.state()["cone"] == "200,62,500"
    page.get_by_role("button", name="Take away: name").click()
    visitor.wait()
    assert "name" not in visitor.state()
    titled(visitor, frames, product, "detections")


def test_a_wrong_condition_is_a_sentence(visitor) -> None:
    page = visitor.page
    visitor.visit("/")
    page.get_by_label("Condition on any column").fill(WRONG)
    page.get_by_label("Condition on any column").press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("has no column 'nothing'")
    # What was chosen before is not shown as if it were what is asked for.
    expect(page.locator("canvas.sky")).to_be_hidden()
    visitor.visit("/?where=ra_deg<999")
    expect(page.locator("canvas.sky")).to_be_visible()
    # The browser itself writes that the server has refused.
    visitor.problems[:] = [one for one in visitor.problems if "status of 400" not in one]


def test_a_site_of_files_saves_a_selection_as_a_server_does(
    static_visitor, client: TestClient
) -> None:
    page, query = static_visitor.page, f"{QUERY}&where=sigma_eclipse < 9 or duration > 1"
    static_visitor.visit(f"/?{query}")
    page.locator("details.same summary").click()
    for kind in ("csv", "ecsv", "vot", "fits"):
        with page.expect_download() as saved:
            page.get_by_role("button", name=kind.upper(), exact=True).click()
        assert saved.value.suggested_filename == f"detections.{kind}"
        expected = client.get(f"/api/v1/export.{kind}?{query}").content
        if kind == "fits":
            own = [card_values(path) for path in (saved.value.path(), io.BytesIO(expected))]
            assert own[0] == own[1]
        found, wanted = READ[kind](Path(saved.value.path()).read_bytes()), READ[kind](expected)
        assert found.colnames == wanted.colnames
        assert len(found) == len(wanted) > 10
        assert cells(found, ["duration"]) == cells(wanted, ["duration"])
        # Rows that are alike in what they are sorted by are in no certain order.
        assert sorted(cells(found, found.colnames)) == sorted(cells(wanted, found.colnames))
        for name in found.colnames:
            assert found[name].unit == wanted[name].unit, name
            kinds = {table[name].dtype.kind for table in (found, wanted)}
            assert len(kinds) == 1 or kinds <= set("OUS"), name


def card_values(place) -> list[dict[str, object]]:
    """Keywords and values of headers but for checksums, which must be right."""
    found = []
    with warnings.catch_warnings(), fits.open(place, checksum=True) as file:
        warnings.simplefilter("error")
        file.verify("exception")
        for hdu in file:
            assert hdu.verify_datasum() == hdu.verify_checksum() == 1
            own = dict(hdu.header)
            found.append({key: own[key] for key in sorted(own) if not key.endswith("SUM")})
            assert {"CHECKSUM", "DATASUM"} <= own.keys()
    return found


def cells(table: Table, names: list[str]) -> list[tuple[str, ...]]:
    """Rows as text; what is missing is alike however a format tells it."""
    columns = [
        [str(None if v is np.ma.masked or v != v else v) for v in np.ma.asarray(table[name])]
        for name in names
    ]
    return [*zip(*columns, strict=True)]


def test_rows_are_sorted_and_lead_to_their_page(visitor, frames: dict[str, pd.DataFrame]) -> None:
    page = visitor.page
    visitor.visit("/?table=detections")
    first = page.locator("table.rows tbody tr:not([aria-hidden]) a").first
    for way in (False, True):
        page.get_by_role("button", name="duration").click()
        visitor.wait()
        rows = frames["detections"].sort_values("duration", ascending=way, kind="stable")
        expect(first).to_have_text(rows["detid"].iloc[0])
    expect(page.locator("th[aria-sort=ascending]")).to_have_text("duration s")
    page.locator(".rowframe").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator("tr.selected a")).to_have_text(rows["detid"].iloc[0])
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(rows["detid"].iloc[0])
    visitor.wait()


def test_what_is_not_there_is_a_sentence(visitor) -> None:
    for view, ready, words in (
        ("/?sigma=9-2", "yes", "no range"),
        ("/?where=sigma_peak > 1e9", "yes", "Nothing fulfils these conditions."),
        ("/source/99999", "error", "There is no"),
        ("/obs/0000000000", "error", "nothing of observation"),
        ("/nothing", "yes", "There is no"),
    ):
        visitor.visit(view, ready)
        assert words in visitor.page.inner_text("main")
    visitor.page.goto(visitor.address("/nothing"))
    visitor.wait()
    assert "There is no page" in visitor.page.inner_text("main")
    visitor.problems[:] = [one for one in visitor.problems if "status of 404" not in one]


WRONG_PARTS = (
    *("flag=-1", "flag=99", "noflag=-1", "noflag=nan", "kind=200", "kind=-1", "sigma=nan-inf"),
    *("sigma=9-2", "sort=nothing", "sort=constructor", "x=nothing", "y2=constructor"),
    *("cone=,,", "cone=nan,0,1", "cone=10,95,3", "cone=1,2,-3", "cone=1,2,3,4", "obsid=12a"),
    *("where=5", "where=srcid > 5", "where=not sigma_peak", "where=sigma_peak", "where=-srcid"),
    *("where=contains(srcid, srcid)", "where=sigma_peak in ('a',)", "where=constructor > 1"),
    *("where=sigma_peak == nan", "where=abs(srcid) > 1", "where=between(1, 2, 'a')"),
)
"""Parts of addresses that cannot be, of each kind; a reader must not take them for no rows."""


def test_what_cannot_be_chosen_is_a_sentence_at_both_sites(visitors) -> None:
    for mode in ("server", "static"):
        visitor = visitors(mode)
        for part in (*WRONG_PARTS, f"where={'(' * 2000}1{')' * 2000} > 0"):
            visitor.visit(f"/?table=detections&{part}")
            told = visitor.page.get_by_role("alert")
            expect(told).to_contain_text(re.compile(r"\w.*[.?]$"))
            expect(visitor.page.locator("h1")).to_have_text("What is chosen cannot be counted")
            expect(visitor.page.locator("table.rows")).to_be_hidden()
        told = [one for one in visitor.problems if not re.search("status of 4(00|22)", one)]
        visitor.problems[:] = told
        assert visitor.problems == []


def test_a_name_that_chooses_nothing_is_told_and_the_last_of_two_counts(
    visitor, frames: dict[str, pd.DataFrame], product: Product
) -> None:
    visitor.visit("/?table=detections&simga=14-63&x=hr&utm_source=mail")
    told = visitor.page.locator("p[role=status]").first
    expect(told).to_contain_text('"simga", "utm_source", which is no facet')
    rows = len(frames["detections"])
    expect(visitor.page.locator("h1")).to_have_text(f"{rows} of {rows} detections")
    visitor.visit("/?table=detections&sigma=0-1&sigma=20-40")
    expect(told).to_have_text("")
    titled(visitor, frames, product, "detections")
    expect(visitor.page.locator(".chips li")).to_have_count(1)


def test_what_is_decompressed_is_never_written_as_text(visitor) -> None:
    visitor.visit("/columns")
    given = bytes(range(256)) * 40
    packed = pa.compress(given, codec="zstd", asbytes=True)
    found, n_texts = visitor.page.evaluate(
        """async ([packed, length]) => {
          const own = document.querySelector("script[type=module]").src;
          const { compressors } = await import(new URL("parquet.js", own).href);
          const typed = Object.getPrototypeOf(Uint8Array.prototype);
          const { join } = typed;
          let texts = 0;
          typed.join = function (...given) { texts++; return join.apply(this, given); };
          const found = compressors.ZSTD(Uint8Array.from(packed), length);
          typed.join = join;
          return [Array.from(found), texts];
        }""",
        [list(packed), len(given)],
    )
    assert (bytes(found), n_texts) == (given, 0)
