"""Voting by the API: what is kept, what each may see, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from helpers.query_archives import make_queried
from starlette.testclient import TestClient

from exod.archive import Archive
from exod.archive.votes import VoteLog
from exod.stages.explore.making import make_explorer
from exod.web.app import WebSettings, make_app
from exod.web.product import Product

HOST = "127.0.0.1:8765"
SCRIPT = "<script>alert(1)</script>\n=1+1"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Archive:
    archive = make_queried(tmp_path_factory.mktemp("vetted") / "results", 4, 4)
    make_explorer(archive)
    return archive


@pytest.fixture
def voters(prepared: Archive) -> Iterator[Voters]:
    """A server whose archive has no votes yet."""
    for name in prepared.store.names("vetting/events"):
        Path(prepared.root, name).unlink()
    guard = make_app(prepared)
    with TestClient(guard, base_url=f"http://{HOST}") as client:
        yield Voters(client, guard.token, prepared)


class Voters:
    """People at the pages of a server."""

    def __init__(self, client: TestClient, token: str, archive: Archive) -> None:
        self.client, self.archive = client, archive
        self.headers = {"origin": f"http://{HOST}", "x-exod-token": token}

    def send(self, vetter: str, source: int, label: str, **more: Any) -> Any:
        content = {"vetter": vetter, "source": source, "label": label, **more}
        return self.client.post("/api/v1/vetting", json=content, headers=self.headers)

    def vote(self, *about: Any, **more: Any) -> dict[str, Any]:
        answer = self.send(*about, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def ask(self, what: str, **state: Any) -> Any:
        answer = self.client.get(f"/api/v1/vetting/{what}", params=state)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def queue(self, vetter: str, **state: Any) -> list[int]:
        return self.ask("queue", vetter=vetter, **state)["sources"]


def test_votes_are_kept_with_what_was_seen(voters):
    number = voters.queue("Ada")[0]
    event = voters.vote(
        "Ada", number, "real", classes="flare star", score=4, note=SCRIPT, seconds=2.5, view="?a=1"
    )["event"]
    (row,) = VoteLog(voters.archive.store).rows().to_pylist()
    sources = voters.archive.unique.compute().set_index("region_num")
    assert row["event"] == event
    assert row["detid"] == sources.loc[number, "best_detid"]
    assert row["unique_version"] == voters.archive.derived("unique").version
    told = ("vetter", "clock", "region_num", "label", "classes", "score", "note", "seconds", "view")
    assert [row[name] for name in told] == (
        ["Ada", 1, number, "real", "flare star", 4, SCRIPT, 2.5, "?a=1"]
    )
    assert voters.ask("state", vetter="Ada", source=number)["own"]["note"] == SCRIPT


def test_nobody_sees_the_votes_of_others_before_the_own(voters):
    voters.vote("Ada", 1, "real", note="a flare")
    blind = voters.ask("state", vetter="Bo", source=1)
    assert blind == {"source": 1, **dict.fromkeys(("own", "others", "verdict", "answer"))}
    seen = voters.vote("Bo", 1, "real")
    assert [vote["note"] for vote in seen["others"]] == ["a flare"]
    assert seen["verdict"] == "real"
    assert voters.vote("Bo", 1, "none")["others"] is None
    assert voters.vote("Bo", 1, "artefact")["verdict"] == "conflict"
    assert voters.ask("state", vetter="Bo") == {
        "vetter": "Bo",
        "votes": {"real": 0, "artefact": 1, "interesting": 0, "unsure": 0},
        "stale": 0,
        "damaged": [],
        "known": None,
    }


def test_verdicts_are_told_without_names(voters):
    voters.vote("Ada", 1, "real")
    voters.vote("Bo", 1, "real")
    counts = {"real": 2, "artefact": 0, "interesting": 0, "unsure": 0}
    row = {"region_num": 1, "n_votes": 2, "verdict": "real", "votes": counts}
    guard = make_app(voters.archive, WebSettings(public=True))
    with TestClient(guard, base_url=f"http://{HOST}") as public:
        for client in (public, voters.client):
            assert client.get("/api/v1/vetting").json() == {"total": 1, "rows": [row]}
        assert public.get("/api/v1/vetting/state?vetter=Ada").status_code == 403
    (nobody,) = voters.client.get("/api/v1/vetting?source=2").json()["rows"]
    assert (nobody["n_votes"], nobody["verdict"]) == (0, "open")
    (blind,) = voters.client.get("/api/v1/vetting?vetter=Cy&source=1").json()["rows"]
    assert blind == {**row, "verdict": "hidden until you vote", "votes": None}
    (own,) = voters.client.get("/api/v1/vetting?vetter=Ada").json()["rows"]
    assert own == row
    assert voters.client.get("/api/v1/vetting?limit=0").json() == {"total": 1, "rows": []}


def test_queues(voters):
    every = voters.queue("Ada")
    assert sorted(every) == sorted(voters.archive.unique.compute()["region_num"])
    voters.vote("Ada", every[1], "real")
    voters.vote("Bo", every[1], "artefact")
    voters.vote("Bo", every[0], "real")
    assert voters.queue("Ada") == [every[0], *every[2:]]
    assert voters.queue("Cy", queue="conflicts") == [every[1]]
    assert voters.queue("Cy", queue="least") == [*every[2:], every[0], every[1]]
    assert voters.queue("Ada", queue="least") == [*every[2:], every[0]]
    chosen = f"region_num <= {sorted(every)[2]}"
    assert set(voters.queue("Cy", where=chosen)) == set(sorted(every)[:3])
    assert voters.queue("Cy", sort="region_num", limit=2) == sorted(every)[:2]
    voters.vote("Ada", every[1], "none")
    assert voters.queue("Ada") == every
    assert voters.queue("Cy", queue="conflicts") == []


def test_the_order_is_that_of_the_catalogue(voters):
    """Also among sources that are equally significant."""
    rows = voters.client.get(
        "/api/v1/rows", params={"sort": "-sigma_peak", "columns": "region_num"}
    )
    assert voters.queue("Ada") == [row["region_num"] for row in rows.json()["rows"]]


def test_sources_with_a_known_answer(prepared, voters):
    numbers = sorted(prepared.unique.compute()["region_num"])
    controls = dict(zip(numbers[:4], ["real", "real", "artefact", "artefact"], strict=True))
    guard = make_app(prepared, WebSettings(controls=controls))
    with TestClient(guard, base_url=f"http://{HOST}") as client:
        own = Voters(client, guard.token, prepared)
        asked = own.queue("Ada", queue="known")
        assert (sorted(asked), asked) == (numbers[:4], own.queue("Ada", queue="known"))
        assert len({tuple(own.queue(name, queue="known")) for name in "ABCDEF"}) > 1
        assert own.ask("state", vetter="Ada", source=numbers[2])["answer"] is None
        for number, label in zip(numbers[:3], ["real", "unsure", "interesting"], strict=True):
            told = own.vote("Ada", number, label)
            assert told["answer"] == controls[number]
            for again in ("none", "artefact"):
                refused = own.send("Ada", number, again)
                assert (refused.status_code, "was shown" in refused.text) == (400, True)
            assert own.ask("state", vetter="Ada", source=number)["own"]["label"] == label
        assert own.queue("Ada", queue="known") == [numbers[3]]
        known = own.ask("state", vetter="Ada")["known"]
        assert known == {"sources": 4, "votes": 3, "completeness": 0.5, "false_alarms": 1.0}
        known = own.ask("state", vetter="Bo")["known"]
        assert known == {"sources": 4, "votes": 0, "completeness": None, "false_alarms": None}


def test_sources_most_like_another(prepared, voters):
    with Product(prepared).opened("neighbours.parquet") as source:
        rows = pq.read_table(source).to_pandas()
    place = rows.drop(columns=["region_num", "srcid", "detid"]).to_numpy()
    like = int(rows["region_num"].iloc[0])
    own = place[(rows["region_num"] == like).to_numpy()]
    rows["away"] = [min(((curve - one) ** 2).sum() for one in own) for curve in place]
    away = rows.groupby("region_num")["away"].min().drop(like)
    found = voters.queue("Ada", queue="similar", like=like)
    assert sorted(found) == sorted(away.index)
    assert away[found].is_monotonic_increasing
    voters.vote("Ada", found[0], "real")
    assert voters.queue("Ada", queue="similar", like=like) == found[1:]
    for wrong in ("", "x", "999999", "9" * 30, "-1"):
        state = {"vetter": "Ada", "queue": "similar", "like": wrong}
        answer = voters.client.get("/api/v1/vetting/queue", params=state)
        assert answer.status_code == 400
        assert "no source with light curves" in answer.json()["detail"]


def test_a_damaged_vote_is_named_and_stops_nobody(voters):
    event = voters.vote("Ada", 1, "real")["event"]
    path = Path(voters.archive.root, "vetting/events", f"{event}.parquet")
    path.write_bytes(path.read_bytes()[:100])
    guard = make_app(voters.archive)
    with TestClient(guard, base_url=f"http://{HOST}") as client:
        own = Voters(client, guard.token, voters.archive)
        assert own.ask("state", vetter="Ada")["damaged"] == [path.name]
        assert own.vote("Ada", 1, "artefact")["own"]["label"] == "artefact"


def test_undo_after_a_withdrawal(voters):
    """As the page does it: the vote before is cast again."""
    voters.vote("Ada", 1, "interesting", note="a note")
    voters.vote("Ada", 1, "none")
    assert voters.ask("state", vetter="Ada", source=1)["own"] is None
    voters.vote("Ada", 1, "interesting", note="a note")
    assert voters.ask("state", vetter="Ada", source=1)["own"]["note"] == "a note"
    assert voters.ask("agreement")["events"] == 3


def test_agreement(voters):
    assert voters.ask("agreement") == {"events": 0, "kappa": None, "verdicts": {}, "vetters": []}
    one, two, *_ = voters.queue("Ada")
    for vetter, other in (("Ada", "artefact"), ("Bo", "artefact"), ("Cy", "real")):
        voters.vote(vetter, one, "real")
        voters.vote(vetter, two, other)
    found = voters.ask("agreement")
    # Pairs: 3 of 3 and 1 of 3 agree; 4 of 6 votes are real.
    assert found["kappa"] == pytest.approx((2 / 3 - 5 / 9) / (1 - 5 / 9))
    assert found["verdicts"] == {"real": 1, "artefact": 1}
    assert [(v["vetter"], v["as_decided"], v["decided"]) for v in found["vetters"]] == (
        [("Ada", 2, 2), ("Bo", 2, 2), ("Cy", 1, 2)]
    )


@pytest.mark.parametrize("ending", ["parquet", "csv", "fits"])
def test_export(voters, tmp_path, ending):
    voters.vote("Zoë", 1, "real", note=SCRIPT)
    voters.vote("Bo", 1, "real")
    answer = voters.client.get(f"/api/v1/vetting/export.{ending}")
    assert answer.status_code == 200
    path = tmp_path / f"found.{ending}"
    path.write_bytes(answer.content)
    rows = pq.read_table(path) if ending == "parquet" else Table.read(path)
    assert list(rows["verdict"].to_pylist() if ending == "parquet" else rows["verdict"]) == ["real"]
    if ending == "parquet":
        sources = voters.archive.unique.compute().set_index("region_num")
        assert rows["srcid"].to_pylist() == [sources.loc[1, "srcid"]]
        assert b"two votes at least" in pq.read_schema(path).metadata[b"description"]
        assert rows["n_votes"].type == pa.int32()


def test_a_vote_needs_the_page_of_this_server(voters):
    content = {"vetter": "Ada", "source": 1, "label": "real"}
    for headers in (
        {},
        {**voters.headers, "origin": "http://evil.example"},
        {**voters.headers, "x-exod-token": "0" * 48},
        {"x-exod-token": voters.headers["x-exod-token"]},
    ):
        answer = voters.client.post("/api/v1/vetting", json=content, headers=headers)
        assert answer.status_code == 403
    assert voters.ask("agreement")["events"] == 0


def test_a_public_server_has_no_vetting(prepared):
    guard = make_app(prepared, WebSettings(public=True))
    headers = {"origin": f"http://{HOST}", "x-exod-token": guard.token}
    with TestClient(guard, base_url=f"http://{HOST}") as client:
        content = {"vetter": "Ada", "source": 1, "label": "real"}
        answers = [client.post("/api/v1/vetting", json=content, headers=headers)]
        asked = ("state?vetter=a", "queue?vetter=a", "agreement", "export.csv")
        answers += [client.get(f"/api/v1/vetting/{what}") for what in asked]
    assert [answer.status_code for answer in answers] == [403] * 5
    assert answers[0].json()["detail"] == "This server is public: there is no vetting."


@pytest.mark.parametrize(
    "more",
    [
        {"label": "great"},
        {"source": -1},
        {"source": "1"},
        {"score": 6},
        {"note": "x" * 2001},
        {"note": "\ud800"},
        {"classes": "x" * 201},
        {"view": "x" * 2001},
        {"vetter": "x" * 41},
        {"seconds": -1.0},
        {"supersedes": "../../x"},
        {"clock": 7},
    ],
)
def test_what_cannot_be_is_refused(voters, more):
    content = {"vetter": "Ada", "source": 1, "label": "real", **more}
    # A client that checks what it sends would not send all of these.
    headers = voters.headers | {"content-type": "application/json"}
    answer = voters.client.post("/api/v1/vetting", content=json.dumps(content), headers=headers)
    assert answer.status_code == 422
    assert f"body.{next(iter(more))} is wrong: " in answer.json()["detail"]
    assert voters.ask("agreement")["events"] == 0


@pytest.mark.parametrize("name", ["", " ", "a,b", "<b>", "../x", "a\nb", "\x00"])
def test_names_of_vetters(voters, name):
    answer = voters.send(name, 1, "real")
    assert answer.status_code == 400
    assert "name of a vetter" in answer.json()["detail"]
    assert voters.client.get("/api/v1/vetting/queue", params={"vetter": name}).status_code == 400


def test_a_source_that_is_not_there(voters):
    answer = voters.send("Ada", 999_999, "real")
    assert answer.status_code == 404
    assert "no source 999999" in answer.json()["detail"]
