"""Pages of sources, detections and observations, and all pages for readers with special needs."""

from __future__ import annotations

import shlex
from urllib.parse import urlencode
from urllib.request import urlopen

import pandas as pd
from helpers.barriers import barriers
from helpers.explored import HOSTILE
from helpers.explored_states import chosen
from playwright.sync_api import expect

from exod.web.product import Product
from exod.web.selection import state_of


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
    expect(page.get_by_role("region", name="Image and cells")).to_contain_text("Box: the region")


def test_each_light_curve_has_the_flags_of_its_detection(
    visitor, frames: dict[str, pd.DataFrame], product: Product
) -> None:
    about = product.about("detections")
    meaning = {one["name"]: one["description"] for one in about["columns"]}

    def words(row: pd.Series) -> list[str]:
        names = [name for name in about["flags"] if row[name]]
        kinds = [meaning[name].split(":")[0].lower() for name in names]
        assert {*kinds} <= {"defect", "merit", "label"}
        return [
            f"{name.removeprefix('filt_')} ({kind})"
            for name, kind in zip(names, kinds, strict=True)
        ]

    detections, sources = frames["detections"], frames["sources"].set_index("region_num")
    flagged = detections[about["flags"]].any(axis=1)
    number = detections.loc[flagged, "region_num"].iloc[0]
    own = detections[detections["region_num"] == number].set_index("detid")
    visitor.visit(f"/source/{number}")
    captions = visitor.page.locator("figure figcaption")
    shown = {}
    for caption in captions.all():
        detid = caption.locator("a").get_attribute("href").rpartition("/")[2]
        shown[detid] = [one for one in caption.locator("span span").all_inner_texts() if one]
    assert shown == {detid: words(row) for detid, row in own.iterrows()}
    assert any(shown.values())
    known = visitor.page.get_by_role("region", name="What is known").locator("dd").last
    assert known.inner_text() == (", ".join(words(sources.loc[number])) or "none")
    red = visitor.page.locator(".flag").all_inner_texts()
    assert all(one.endswith("(defect)") for one in red)


def test_one_steps_through_what_is_chosen(visitor, frames: dict[str, pd.DataFrame]) -> None:
    page, rows = visitor.page, frames["sources"]
    rows = rows[rows["i.latitude"] <= 31].sort_values("ra_deg", ascending=False)
    visitor.visit("/?latitude=0-31&sort=-ra_deg")
    page.locator("table.rows tbody a").nth(1).click()
    expect(page.locator("h1")).to_have_text(rows["srcid"].iloc[1])
    expect(page.locator(".bar").first).to_contain_text(f"2 of {len(rows)} that are chosen")
    page.get_by_role("link", name="next").click()
    expect(page.locator("h1")).to_have_text(rows["srcid"].iloc[2])
    visitor.wait()
    page.keyboard.press("ArrowLeft")
    expect(page.locator("h1")).to_have_text(rows["srcid"].iloc[1])
    visitor.wait()
    page.get_by_role("link", name="that are chosen").click()
    expect(page.locator("h1")).to_have_text(f"{len(rows)} of {len(frames['sources'])} sources")
    visitor.wait()
    expect(page.locator("tr.selected")).to_contain_text(rows["srcid"].iloc[1])
    page.locator("table.rows tbody td:nth-child(2)").nth(2).click()
    expect(page.locator("tr.selected")).to_contain_text(rows["srcid"].iloc[2])
    assert visitor.state()["sel"] == str(rows["region_num"].iloc[2])


def test_an_observation_shows_its_field(visitor, frames: dict[str, pd.DataFrame]) -> None:
    visitor.visit(f"/obs/{frames['detections']['obsid'].iloc[0]}")
    field = visitor.page.get_by_role("region", name="Field")
    expect(field).to_contain_text("click one for its page")
    expect(visitor.page.get_by_role("region", name="Search")).to_contain_text("OK")


def test_observations_of_either_observatory_are_shown_as_what_they_are(visitor) -> None:
    visitor.visit("/about")
    chandra, xmm, whole, scattered, heads = visitor.page.evaluate(SHOWN, visitor.base)
    assert chandra.startswith("https://cda.harvard.edu/")
    assert xmm.startswith("https://nxsa.esac.esa.int/")
    # What has no end is not shown to have one.
    assert (whole > 0, scattered) == (True, 0)
    assert all(heads), heads
    assert len(heads) > 4


SHOWN = """async (base) => {
  const read = (name) => import(`${base}static/js/${name}.js`);
  const names = ["links", "outline", "hardness"];
  const [{ outside }, { linesOf }, { hardnessPanel }] = await Promise.all(names.map(read));
  const field = (side, step) => {
    const cells = Array.from({ length: side ** 2 }, (_, n) => [n % side, Math.floor(n / side)]);
    const places = cells.filter(([x, y]) => !((x + y) % step));
    const axis = (which, more) => places.map((place) => place[which] + more);
    const ends = { x_from: axis(0, 0), x_to: axis(0, 1), y_from: axis(1, 0), y_to: axis(1, 0) };
    return linesOf(ends).length;
  };
  const archive = (obsid) => outside(10, -5, 9, obsid).flat().find((text) => text.includes(obsid));
  const one = { obsid: "1", detid: "1_0", sigma_peak: 5, hr: 0.5 };
  const heads = [...hardnessPanel([one]).querySelectorAll("th")].map((head) => head.textContent);
  return [archive("28964"), archive("0001730201"), field(9, 4), field(60, 4), heads];
}"""


def test_addresses_that_no_link_has(visitor) -> None:
    for view in ("/?table=constructor", "/?table=__proto__&sort=constructor", "/stats?table=x"):
        visitor.visit(view, "error")
        expect(visitor.page.locator("[role=alert]")).to_contain_text("There is no table")
    for page, name in (("source", "9" * 20), ("detection", "9" * 20), ("detection", "constructor")):
        visitor.visit(f"/{page}/{name}", "error")
        told = visitor.page.locator("[role=alert]")
        expect(told).to_have_text(f"There is no {page} {name} in this archive.")
    visitor.visit("/name/50%", "error")
    expect(visitor.page.locator("[role=alert]")).to_contain_text("50% in the address is no text")
    if visitor.mode == "server":
        visitor.visit("/vet?queue=constructor")
        visitor.page.fill("input[name=vetter]", "Eve")
        visitor.page.keyboard.press("Enter")
        expect(visitor.page.get_by_label("Queue")).to_have_value("unvoted")
        expect(visitor.page.locator(".vetting h2").first).to_be_visible()
        visitor.page.wait_for_load_state("networkidle")


def test_hostile_text_is_text(visitor, frames: dict[str, pd.DataFrame]) -> None:
    obsid = frames["detections"]["obsid"].iloc[0]
    visitor.visit(f"/obs/{obsid}")
    expect(visitor.page.locator("h1")).to_have_text(f"Observation {obsid}: {HOSTILE}")
    assert visitor.page.locator("main img[src=x]").count() == 0
    assert "hit" not in visitor.page.title()


def test_a_revolution_is_shown_where_there_is_one(visitor, product: Product) -> None:
    about = visitor.page.get_by_role("region", name="What is known")
    for obsid, revolution in (("0700000001", "2500"), ("0700000101", None)):
        visitor.visit(f"/obs/{obsid}")
        shown = dict(
            zip(
                about.locator("dt").all_inner_texts(),
                about.locator("dd").all_inner_texts(),
                strict=True,
            )
        )
        assert shown["n_events"]
        assert shown.get("revolution") == revolution


def test_a_name_leads_to_its_source(visitor, frames: dict[str, pd.DataFrame]) -> None:
    name = frames["sources"]["srcid"].iloc[1]
    visitor.visit(f"/name/{name.removeprefix('EXOD ')}")
    expect(visitor.page.locator("h1")).to_have_text(name)
    visitor.wait()


SAME = {
    "/?table=detections&sigma=20-63&noflag=4&where=ra_deg+%3E+100&sort=-duration": "detid",
    "/?latitude=0-31&noflag=1": "region_num",
    "/stats?table=detections&kind=0&name=J0": "detid",
    "/source/{region_num}": "detid",
    "/detection/{detid}": "detid",
    "/obs/{obsid}": "detid",
    "/compare?a=start": "generation",
    "/columns": "",
    "/about": "",
    "/runs": "",
}
"""Views, and the column by which rows that are the same are known."""


WITHOUT_SERVER = ("/?table=detections", "/obs/", "/columns")
"""How those begin that say it otherwise where there is no server."""


def test_the_same_elsewhere_is_the_same(
    visitor, frames: dict[str, pd.DataFrame], product: Product, explored, command, tmp_path
) -> None:
    page, one = visitor.page, frames["detections"].iloc[0]
    for view, key in SAME.items():
        if visitor.mode == "static" and not view.startswith(WITHOUT_SERVER):
            continue
        visitor.visit(view.format(**one[["region_num", "detid", "obsid"]]))
        page.locator("details.same > summary").click()
        has_statement = visitor.mode == "server" and view != "/runs"
        languages = ["command", "python", *(["adql"] if has_statement else [])]
        texts = page.locator("details.same pre")
        expect(texts).to_have_count(len(languages))
        words = dict(zip(languages, map(str.strip, texts.all_inner_texts()), strict=True))
        found = {"python": _by_python(words["python"], explored.root)}
        given = shlex.split(words["command"].replace("ARCHIVE", explored.root))[1:]
        target = tmp_path / f"{len(view)}.parquet"
        code, *_ = command(*given, *(["--to", target] if key else []))
        assert code == 0, view
        if key:
            found["command"] = pd.read_parquet(target)
        if has_statement:
            query = urlencode({"QUERY": words["adql"], "FORMAT": "csv", "LANG": "ADQL"})
            with urlopen(f"{visitor.base}vo/tap/sync?{query}") as answer:
                found["adql"] = pd.read_csv(answer)
        assert all(len(rows) for rows in found.values()), view
        if key:
            keys = {name: sorted(rows[key]) for name, rows in found.items()}
            assert keys["command"] == keys["python"] == keys.get("adql", keys["python"]), view
        if view.startswith(("/?", "/stats")):
            table, state = state_of(page.url)
            rows, about = frames[table], product.about(table)
            assert keys["python"] == sorted(rows[chosen(rows, about, state)][key]), view


def _by_python(words: str, root: str) -> pd.DataFrame:
    """What the statements leave as `rows`."""
    names: dict[str, object] = {}
    exec(words.replace("ARCHIVE", root), names)
    return names["rows"]


def test_pages_have_no_barriers(visitor, frames: dict[str, pd.DataFrame]) -> None:
    page, one = visitor.page, frames["detections"].iloc[0]
    # Others are the same at both sites.
    views = ["/vet", "/runs", "/api", "/stats?table=archive"]
    if visitor.mode == "server":
        views += [f"/source/{one['region_num']}", f"/obs/{one['obsid']}", "/columns", "/about"]
        views += [f"/detection/{one['detid']}", "/stats?table=detections", "/compare", "/nothing"]
        views += ["/?sigma=9-63&where=ra_deg>0", "/?where=nothing>1", "/source/99999"]
    found = []
    for view in views:
        visitor.visit(view, "error" if "99999" in view else "yes")
        found += [f"{view}: {told}" for told in barriers(page)]
    if visitor.mode == "server":
        visitor.visit("/vet")
        page.fill("input[name=vetter]", "Ada")
        page.keyboard.press("Enter")
        page.get_by_role("group", name="Your vote").wait_for()
        page.keyboard.press("?")
        found += [f"a queue: {told}" for told in barriers(page)]
        # The browser itself writes that the server has refused a condition.
        visitor.problems[:] = [one for one in visitor.problems if "status of 400" not in one]
    page.emulate_media(color_scheme="light")
    assert not found, "\n".join(found)
