"""Votes as facets: as the pages, the server and the command line count them, and pandas."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from starlette.testclient import TestClient
from typer.testing import CliRunner

from exod.archive import Archive, open_archive
from exod.archive.votes import VoteLog
from exod.cli import app
from exod.schemas.facets import MISSING
from exod.stages.derive.verdicts import judge
from exod.web.app import WebSettings, make_app
from exod.web.product import Product
from exod.web.publishing.site import publish
from exod.web.voting.facets import HIDDEN, voted_product

VOTES = (
    *(("ada", 0, "real"), ("bo", 0, "real"), ("ada", 1, "artefact"), ("bo", 1, "real")),
    *(("cy", 1, "artefact"), ("bo", 2, "unsure"), ("ada", 3, "real"), ("bo", 3, "artefact")),
    *(("ada", 4, "real"), ("ada", 4, "none")),
)


@pytest.fixture(scope="module")
def voted(explored: Archive, tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """The archive with votes on its first sources."""
    root = tmp_path_factory.mktemp("voted") / "results"
    shutil.copytree(explored.root, root, ignore=lambda *_: ["vetting"])
    archive = open_archive(root)
    numbers = numbers_of(archive)
    version = archive.derived("unique").version
    for vetter, place, label in VOTES:
        VoteLog(archive.store).add(
            vetter, region_num=numbers[place], label=label, unique_version=version
        )
    # Of a source that is no more, nothing is shown.
    VoteLog(archive.store).add("ada", region_num=max(numbers) + 7, label="real")
    return archive


def numbers_of(archive: Archive) -> list[int]:
    return sorted(map(int, archive.unique.compute()["region_num"]))


@pytest.fixture(scope="module")
def asking(voted: Archive) -> Iterator[TestClient]:
    with TestClient(make_app(voted), base_url="http://127.0.0.1:8765") as client:
        yield client


def expected(voted: Archive, table: str, vetter: str) -> pd.DataFrame:
    """Each row of a table in its order with its votes, from the verdicts."""
    with Product(voted).opened(f"{table}.parquet") as source:
        rows = pd.read_parquet(source, columns=["region_num"])
    judged = judge(voted)
    told = judged.verdicts.set_index("region_num")
    found = rows.join(told[["n_votes", "verdict", "conflict"]], on="region_num")
    states = judged.states[judged.states["vetter"] == vetter].set_index("region_num")["label"]
    found["mine"] = [states.get(number, "none") for number in found["region_num"]]
    blind = (found["mine"] == "none") & found["verdict"].isin(["real", "artefact"])
    found.loc[blind & bool(vetter), "verdict"] = HIDDEN
    return found.fillna({"n_votes": 0, "conflict": False})


@pytest.mark.parametrize("table", ["sources", "detections"])
@pytest.mark.parametrize("vetter", ["", "ada", "cy"])
def test_counts_are_those_of_the_verdicts(voted, asking, table, vetter):
    about = asking.get("/api/v1/meta").json()["tables"][table]
    state = {"table": table, "vetter": vetter}
    counts = asking.get("/api/v1/facets", params=state).json()["facets"]
    votes = asking.get("/api/v1/votes", params=state).json()[table]
    rows = expected(voted, table, vetter)
    labelled = {f["name"]: f for f in about["facets"] if f.get("votes")}
    assert list(labelled) == ["n_votes", "verdict", "conflict", "mine"]
    for name, facet in labelled.items():
        wanted = rows[name]
        if name in ("n_votes", "conflict"):
            codes = wanted.astype(int)
        else:
            codes = wanted.map(facet["labels"].index, na_action="ignore").fillna(MISSING)
        size = 64 if name == "n_votes" else len(facet["labels"])
        counted = [int((codes == code).sum()) for code in (*range(size), MISSING)]
        assert counts[name] == counted
        told = pd.Series(facet["others"], index=range(len(rows)))
        told[votes["row"]] = votes[name]
        assert told.tolist() == codes.astype(int).tolist()


def test_rows_are_chosen_by_votes(voted, asking, tmp_path):
    numbers = numbers_of(voted)

    def chosen(**state):
        params = {"columns": "region_num", "sort": "region_num", **state}
        answer = asking.get("/api/v1/rows", params=params)
        assert answer.status_code == 200, answer.text
        return [row["region_num"] for row in answer.json()["rows"]]

    assert chosen(n_votes="2-63") == [numbers[place] for place in (0, 1, 3)]
    assert chosen(verdict="0") == [numbers[0]]
    assert chosen(conflict="1") == [numbers[3]]
    assert chosen(mine="0", vetter="ada") == [numbers[0], numbers[3]]
    assert chosen(verdict="0", vetter="cy") == []
    assert chosen(verdict="1.4", n_votes="2-2") == [numbers[3]]
    address = "http://127.0.0.1:8765/?mine=0&vetter=ada&sort=region_num"
    path = tmp_path / "mine.csv"
    words = ["query", voted.root, "--from-url", address, "--columns", "region_num"]
    found = CliRunner().invoke(app, [*words, "--to", str(path)])
    assert found.exit_code == 0, found.output
    assert pd.read_csv(path)["region_num"].tolist() == [numbers[0], numbers[3]]
    for state in ({"mine": "0"}, {"mine": "x", "vetter": "ada"}, {"n_votes": "64-70"}):
        assert asking.get("/api/v1/rows", params=state).status_code == 400


def test_answers_are_new_after_a_vote(voted, asking):
    first = asking.get("/api/v1/facets").headers["etag"]
    assert asking.get("/api/v1/facets").headers["etag"] == first
    VoteLog(voted.store).add("di", region_num=numbers_of(voted)[9], label="none")
    assert asking.get("/api/v1/facets").headers["etag"] != first


def test_verdicts_are_published_without_names(voted, tmp_path):
    publish(voted_product(voted), tmp_path / "site")
    votes = json.loads((tmp_path / "site" / "data" / "votes.json").read_text())
    meta = json.loads((tmp_path / "site" / "data" / "meta.json").read_text())
    facets = [f["name"] for f in meta["tables"]["sources"]["facets"] if f.get("votes")]
    assert facets == ["n_votes", "verdict", "conflict"]
    rows = expected(voted, "sources", "")
    with_votes = rows[rows["verdict"].notna()]
    assert votes["sources"]["row"] == with_votes.index.tolist()
    assert votes["sources"]["n_votes"] == with_votes["n_votes"].astype(int).tolist()
    assert not any(name in json.dumps(votes) for name in ("ada", "bo", "cy"))


def test_a_public_server_tells_no_own_votes(voted):
    with TestClient(
        make_app(voted, WebSettings(public=True)), base_url="http://127.0.0.1:8765"
    ) as client:
        facets = client.get("/api/v1/meta").json()["tables"]["sources"]["facets"]
        assert "mine" not in [facet["name"] for facet in facets]
        assert client.get("/api/v1/votes", params={"vetter": "cy"}).json() == (
            client.get("/api/v1/votes").json()
        )


def test_without_votes_nothing_changes(explored: Archive, product: Product, tmp_path: Path):
    root = tmp_path / "bare"
    shutil.copytree(explored.root, root, ignore=lambda *_: ["vetting"])
    found = voted_product(open_archive(root))
    assert [f["name"] for f in found.about("sources")["facets"]] == (
        [f["name"] for f in product.about("sources")["facets"]]
    )
