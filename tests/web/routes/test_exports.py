"""Files of a selection hold its rows in its order, and other programs read them."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.explored_states import chosen
from helpers.exported_tables import QUERY, READ
from starlette.testclient import TestClient

from exod.archive import Archive
from exod.web.routes import exports

STATE = {"table": "detections", "sigma": "20-63", "sort": "-duration", "noflag": "4"}
COLUMNS = ("detid", "srcid", "ra_deg", "duration", "n_peak_cells", "filt_5sig")


@pytest.fixture(scope="module")
def expected(frames: dict[str, pd.DataFrame], client: TestClient) -> pd.DataFrame:
    about = client.get("/api/v1/meta").json()["tables"]["detections"]
    rows = frames["detections"][chosen(frames["detections"], about, STATE)]
    rows = rows.sort_values(["duration", "detid"], ascending=[False, True], na_position="last")
    assert 10 < len(rows) < len(frames["detections"])
    assert rows["duration"].isna().any()
    return rows.reset_index(drop=True)


@pytest.mark.parametrize("kind", READ)
def test_each_format_has_the_rows_and_is_read_elsewhere(
    client: TestClient, expected: pd.DataFrame, kind: str
) -> None:
    answer = client.get(f"/api/v1/export.{kind}?{QUERY}&columns={','.join(COLUMNS)}")
    assert answer.status_code == 200
    assert f'filename="detections.{kind}"' in answer.headers["content-disposition"]
    found = READ[kind](answer.content)
    assert found.colnames == list(COLUMNS)
    for name in COLUMNS:
        column = found[name]
        if column.dtype.kind in "SUO":
            assert [str(v) for v in column] == expected[name].tolist()
        else:
            values = np.ma.filled(np.ma.asarray(column).astype(float), np.nan)
            np.testing.assert_array_equal(values, expected[name].astype(float))


def test_all_columns_and_no_rows(client: TestClient, expected: pd.DataFrame) -> None:
    whole = client.get(f"/api/v1/export.parquet?{QUERY}").content
    names = [name for name in expected.columns if not name.startswith("i.")]
    assert list(pd.read_parquet(io.BytesIO(whole)).columns) == names
    for kind in exports.KINDS:
        none = client.get(f"/api/v1/export.{kind}?name=nobody&columns=srcid,ra_deg")
        assert len(READ[kind](none.content)) == 0


def test_what_cannot_be_exported_is_a_sentence(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get("/api/v1/export.exe").status_code == 404
    wrong = client.get("/api/v1/export.csv?columns=srcid,nothing")
    assert (wrong.status_code, "nothing" in wrong.json()["detail"]) == (400, True)
    monkeypatch.setattr(exports, "MOST_IN_MEMORY", 3)
    assert "fits" in client.get("/api/v1/export.ecsv").json()["detail"]
    assert client.get("/api/v1/export.fits").status_code == 200


def test_nothing_is_left_on_the_disk(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert client.get("/api/v1/export.fits").status_code == 200
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("address", [f"http://127.0.0.1:1/?{QUERY}", f"https://a.org/x/#/?{QUERY}"])
def test_the_command_line_gives_the_rows_of_an_address(
    command: Callable[..., tuple[int, str, str]],
    explored: Archive,
    expected: pd.DataFrame,
    tmp_path: Path,
    address: str,
) -> None:
    target = tmp_path / "found.parquet"
    code, *_ = command("query", explored.root, "--from-url", address, "--to", target)
    assert code == 0
    assert pd.read_parquet(target)["detid"].tolist() == expected["detid"].tolist()
    code, said, _ = command(
        "query", explored.root, "--from-url", address, "--limit", 3, "--columns", "detid"
    )
    assert code == 0
    assert all(detid in said for detid in expected["detid"][:3])
    assert expected["detid"][3] not in said


@pytest.mark.parametrize(
    "wrong",
    [
        *(["--from-url", "http://127.0.0.1/source/3"], ["--from-url", "http://x/?table=runs"]),
        *(["--from-url", "http://x/?sigma=9-2"], ["--from-url", "http://x/", "--name", "J1"]),
    ],
)
def test_what_is_no_address_of_a_catalogue_is_wrong_usage(
    command: Callable[..., tuple[int, str, str]], explored: Archive, wrong: list[str]
) -> None:
    code, _, said = command("query", explored.root, *wrong)
    assert (code, said.count("\n") < 6) == (2, True)
