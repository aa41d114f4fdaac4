"""Vetting with the keyboard: a key votes and goes on, nobody sees others' votes before."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from playwright.sync_api import expect

from exod.archive import Archive, open_archive
from exod.archive.votes import VoteLog
from exod.stages.derive.flags import FlagSettings, make_flags
from exod.stages.explore.making import make_explorer
from exod.web.app import WebSettings, make_app
from exod.web.serving import running

NOTE = "<img src=x onerror=alert(1)>"


def name_of(visitor) -> str:
    return visitor.page.inner_text(".vetting h2 a")


def moved_on(visitor, name: str) -> None:
    expect(visitor.page.locator(".vetting h2 a")).not_to_have_text(name)
    expect(visitor.page.locator(".voting p[aria-live]")).not_to_be_empty()


def test_a_queue_is_voted_on_with_keys(visitor, explored: Archive) -> None:
    page = visitor.page
    if visitor.mode == "static":
        visitor.visit("/vet")
        expect(page.locator("main")).to_contain_text("A published site has no vetting")
        return
    log = VoteLog(explored.store)
    visitor.visit("/vet?sort=region_num")
    page.fill("input[name=vetter]", "Ada")
    page.keyboard.press("Enter")
    first = name_of(visitor)
    number = min(explored.unique.compute()["region_num"])
    log.add("Bo", region_num=number, label="real", note=NOTE)
    page.reload()
    visitor.wait()
    expect(page.locator(".voting")).to_contain_text("You have not voted on it")
    assert "Bo" not in page.inner_text(".voting")
    page.keyboard.press("n")
    page.keyboard.type("a flare 2 0")
    page.keyboard.press("Enter")
    page.keyboard.press("1")
    moved_on(visitor, first)
    second = name_of(visitor)
    page.keyboard.press("k")
    moved_on(visitor, second)
    # What others think is shown now, and their notes are text.
    expect(page.locator(".voting")).to_contain_text("Verdict: real")
    expect(page.locator(".voting li")).to_have_text(f"Bo: ✓ real {NOTE}")
    assert page.locator(".voting img").count() == 0
    expect(page.locator("button[aria-pressed=true]")).to_contain_text("real")
    page.keyboard.press("z")
    expect(page.locator("[role=status]")).to_contain_text("no vote")
    expect(page.locator(".voting")).to_contain_text("You have not voted on it")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.select_option("select[aria-label=Queue]", "similar")
    page.wait_for_url("**like=*")
    visitor.wait()
    expect(page.locator(".vetting h2 a")).not_to_have_text(first)
    page.locator("nav a", has_text="Catalogue").click()
    visitor.wait()
    facet = page.locator("[data-facet=verdict]")
    expect(facet).to_contain_text("open 1")
    page.locator("[data-facet=mine] label", has_text="none").click()
    expect(page.locator(".chips")).to_contain_text("My vote: none")
    page.locator("summary", has_text="The same elsewhere").click()
    expect(page.locator(".same")).to_contain_text("mine=4&vetter=Ada")
    own = [row for row in log.rows().to_pylist() if row["vetter"] == "Ada"]
    assert [(row["label"], row["region_num"]) for row in own] == [
        ("real", number),
        ("none", number),
    ]
    assert own[0]["note"] == "a flare 2 0"
    assert own[0]["seconds"] > 0


def test_two_windows_vote_at_once_blind_until_both_did(
    visitor, other_window, explored: Archive
) -> None:
    if visitor.mode == "static":
        return
    both = {"Cleo": visitor, "Dan": other_window}
    for name, reader in both.items():
        reader.visit("/vet?sort=-region_num")
        reader.page.fill("input[name=vetter]", name)
        reader.page.keyboard.press("Enter")
        reader.page.get_by_role("group", name="Your vote").wait_for()
    first = name_of(visitor)
    for key, reader in zip("12", both.values(), strict=True):
        reader.page.keyboard.press(key)
    for reader in both.values():
        moved_on(reader, first)
    second = name_of(visitor)
    assert name_of(other_window) == second != first
    # Of a source on which one of them has voted the other one learns nothing.
    other_window.page.keyboard.press("1")
    moved_on(other_window, second)
    visitor.page.keyboard.press("k")
    moved_on(visitor, second)
    expect(visitor.page.locator(".voting")).to_contain_text("Verdict: conflict")
    expect(visitor.page.locator(".voting li")).to_have_text("Dan: ✗ artefact")
    visitor.page.keyboard.press("j")
    moved_on(visitor, first)
    expect(visitor.page.locator(".voting")).to_contain_text("You have not voted on it")
    assert "Dan" not in visitor.page.inner_text(".voting")
    visitor.page.keyboard.press("z")
    moved_on(visitor, second)
    expect(visitor.page.locator(".voting")).to_contain_text("You have not voted on it")
    # What was taken back is not there for the other one, either.
    for shown in (second, first):
        before = name_of(other_window)
        other_window.page.keyboard.press("k")
        moved_on(other_window, before)
        assert name_of(other_window) == shown
    expect(other_window.page.locator(".voting")).to_contain_text("Verdict: open")
    expect(other_window.page.locator(".voting li")).to_have_count(0)
    cast = [row for row in VoteLog(explored.store).rows().to_pylist() if row["vetter"] in both]
    assert sorted((row["vetter"], row["label"]) for row in cast) == [
        *(("Cleo", "none"), ("Cleo", "real"), ("Dan", "artefact"), ("Dan", "real")),
    ]


def test_a_published_site_tells_verdicts(voted_visitor, explored: Archive) -> None:
    page, sources = voted_visitor.page, explored.unique.compute()
    agreed, other, nobody = sorted(sources["region_num"])[:3]
    verdict = page.get_by_role("region", name="Verdict")
    for number, words in ((agreed, "✓ real after 2 votes"), (other, "conflict after 2 votes")):
        voted_visitor.visit(f"/source/{number}")
        expect(verdict).to_contain_text(words)
    voted_visitor.visit(f"/source/{nobody}")
    expect(verdict).to_have_count(0)
    voted_visitor.visit("/?verdict=0")
    expect(page.locator("h1")).to_have_text(f"1 of {len(sources)} sources")
    page.locator("table.rows tbody a").click()
    expect(page.locator(".bar").first).to_contain_text("1 of 1 that are chosen")
    voted_visitor.wait()


@pytest.fixture
def judged(explored: Archive, tmp_path: Path) -> Archive:
    """An archive with flags of a verdict, on the source with the first number."""
    copied = open_archive(str(shutil.copytree(explored.root, tmp_path / "results")))
    shutil.rmtree(tmp_path / "results" / "vetting", ignore_errors=True)
    for vetter in ("Ada", "Bo"):
        VoteLog(copied.store).add(vetter, region_num=numbers_of(copied)[0], label="artefact")
    make_flags(copied, FlagSettings(verdicts=True))
    make_explorer(copied)
    return open_archive(copied.root)


def numbers_of(archive: Archive) -> list[int]:
    return sorted(map(int, archive.unique.compute()["region_num"]))


def test_a_known_answer_is_told_and_undo_goes_past_it(chromium, judged: Archive) -> None:
    first, second, *_ = numbers_of(judged)
    settings = WebSettings(controls={second: "artefact"})
    with running(make_app(judged, settings)) as address:
        page = chromium.new_page()
        page.goto(f"{address}vet?sort=region_num")
        page.fill("input[name=vetter]", "Cleo")
        page.keyboard.press("Enter")
        said, name = page.locator("[role=status]"), page.locator(".vetting h2 a")
        buttons = page.get_by_role("group", name="Your vote")
        buttons.wait_for()
        begun = name.inner_text()
        page.keyboard.press("1")
        expect(said).to_contain_text("real. z takes it back.")
        expect(name).not_to_have_text(begun)
        buttons.wait_for()
        page.keyboard.press("1")
        expect(said).to_contain_text("real. The answer is known: artefact; this vote stays.")
        page.keyboard.press("z")
        expect(said).to_have_text(f"{begun}: no vote.")
        page.close()
    own = [row for row in VoteLog(judged.store).rows().to_pylist() if row["vetter"] == "Cleo"]
    told = [(row["region_num"], row["label"]) for row in own]
    assert told == [(first, "real"), (second, "real"), (first, "none")]


@pytest.mark.parametrize("public", [False, True])
def test_the_page_of_a_detection_tells_no_verdict_to_who_may_vote(
    chromium, judged: Archive, public: bool
) -> None:
    source = judged.unique.compute().set_index("region_num").loc[numbers_of(judged)[0]]
    with running(make_app(judged, WebSettings(public=public))) as address:
        page = chromium.new_page()
        page.goto(f"{address}detection/{source['best_detid']}")
        page.wait_for_selector("body[data-ready=yes]")
        columns = page.locator("th code").all_inner_texts()
        page.close()
    assert "filt_5sig" in columns
    assert ("vet_artefact" in columns) is public
