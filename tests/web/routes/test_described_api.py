"""The API does what its own description says, whatever of that is asked; no answer is a fault."""

from __future__ import annotations

import re
import shutil

import pytest
import schemathesis
from helpers.examples import portion
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.specs.openapi.checks import positive_data_acceptance
from starlette.testclient import TestClient

from exod.archive import Archive, open_archive
from exod.web.app import make_app
from exod.web.pages import STATIC

ENDLESS = "/api/v1/runs/events"
OPERATIONS = {
    *(
        f"get {name}"
        for name in ("meta", "facets", "rows", "hist2d", "sky", "mask", "adql", "report", "heads")
    ),
    *(f"get {name}/{{number}}" for name in ("sources", "photons", "similar", "besides")),
    "get pages/source/{number}",
    "get where/{name}",
    *(f"get {name}/{{detid}}" for name in ("detections", "lightcurves")),
    *(
        "get cutouts/{number}.png",
        "get obs/{obsid}",
        "get obs/{obsid}/search",
        "get obs/{obsid}/images/{runid}",
        "get lineage",
        "get export.{kind}",
        "get runs",
    ),
    *("get runs/events", "get vetting/state", "get vetting/queue", "get vetting/agreement"),
    *("get vetting/export.{ending}", "get votes", "get vetting", "post vetting", "post samp"),
    "get step/{key}",
}
FACTS = {"number": "region_num", "detid": "detid", "obsid": "obsid", "runid": "runid"}

few = settings(
    max_examples=portion(6),
    derandomize=True,
    database=None,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def described(explored: Archive, tmp_path_factory: pytest.TempPathFactory):
    """The description, of an application that is asked by a page of its own."""
    # Votes are written.
    copied = shutil.copytree(explored.root, tmp_path_factory.mktemp("described") / "results")
    guard = make_app(open_archive(str(copied)))
    own = {b"host": b"127.0.0.1:1", b"origin": b"http://127.0.0.1:1"}
    own[b"x-exod-token"] = guard.token.encode()

    async def asked(scope, receive, send) -> None:
        if scope["type"] == "http":
            given = [pair for pair in scope["headers"] if pair[0] not in own]
            scope = {**scope, "client": ("127.0.0.1", 1), "headers": [*given, *own.items()]}
        await guard(scope, receive, send)

    return schemathesis.openapi.from_asgi("/openapi.json", asked)


def test_all_operations_are_described(client: TestClient) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    found = {f"{method} {path}" for path, methods in paths.items() for method in methods}
    assert {name.replace("/api/v1/", "") for name in found} == OPERATIONS
    for methods in paths.values():
        for operation in methods.values():
            assert operation["description"].endswith(".")
            assert "422" not in operation["responses"] or "Problem" in str(operation["responses"])


def test_answers_are_as_they_are_described(described, frames, hub_gone: None) -> None:
    one = frames["detections"].iloc[3]
    known = {name: one[column] for name, column in FACTS.items()}
    known["number"] = int(known["number"])
    known["key"] = str(known["number"])
    for found in described.get_all_operations():
        operation = found.ok()
        if operation.path == ENDLESS:
            continue

        @few
        @given(case=operation.as_strategy(), is_real=st.booleans())
        def ask(case, is_real: bool) -> None:
            if is_real:
                parts = case.path_parameters
                parts.update({name: known[name] for name in parts if name in known})
            # A schema cannot say all: what is refused with a sentence is well answered.
            case.call_and_validate(excluded_checks=[positive_data_acceptance])

        ask()


@pytest.fixture
def hub_gone(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs of this desktop are told nothing."""
    monkeypatch.setenv("SAMP_HUB", f"std-lockurl:{(tmp_path / 'none').as_uri()}")


def test_conditions_that_are_shown_can_be_asked_of_either_table(client: TestClient) -> None:
    script = (STATIC / "js" / "pages" / "catalogue.js").read_text()
    box = re.search(r'name: "where", placeholder: "([^"]+)"', script)
    rows = client.get("/openapi.json").json()["paths"]["/api/v1/rows"]["get"]["parameters"]
    described = next(item for item in rows if item["name"] == "where")["schema"]["examples"]
    for where in (box[1], *described):
        for table in ("sources", "detections"):
            answer = client.get("/api/v1/rows", params={"table": table, "where": where})
            assert answer.status_code == 200, answer.text
