"""One source, detection or observation: what the API says is what pandas reads in the product."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from helpers.examples import portion
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from exod.schemas.explorer import N_SIMILAR
from exod.web import counting, single
from exod.web.product import Product

Read = Callable[[str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def read(product: Product) -> Read:
    """The rows of a file of the product, by pyarrow."""

    def rows(name: str) -> list[dict[str, Any]]:
        with product.opened(f"{name}.parquet") as source:
            return pq.read_table(source).to_pylist()

    return rows


def where(rows: list[dict[str, Any]], **given: object) -> list[dict[str, Any]]:
    return [row for row in rows if given.items() <= row.items()]


def test_sources_have_what_belongs_to_them(client: TestClient, read: Read) -> None:
    for row in read("sources")[::5]:
        number = row["region_num"]
        own = {
            name: where(read(name), region_num=number)
            for name in ("detections", "coverage", "lineage")
        }
        assert all(own.values())
        assert client.get(f"/api/v1/sources/{number}").json() == {"source": row, **own}


def test_the_page_of_a_source_is_one_answer(client: TestClient, read: Read) -> None:
    for row in read("sources")[::5]:
        number = row["region_num"]
        found = client.get(f"/api/v1/pages/source/{number}").json()
        for name, own in found["rows"].items():
            assert own == where(read(name.removesuffix(".parquet")), region_num=number)
        (best,) = (
            one for one in found["rows"]["detections.parquet"] if one["detid"] == row["best_detid"]
        )
        wanted = {
            "runs.parquet": {one["obsid"] for one in found["rows"]["detections.parquet"]},
            "outlines.parquet": {best["obsid"]},
            "cutouts.parquet": {best["detid"]},
        }
        for name, values in wanted.items():
            about = found["others"][name]
            assert set(about["values"]) == values
            rows = [
                one for one in read(name.removesuffix(".parquet")) if one[about["key"]] in values
            ]
            shown = [{key: one[key] for key in about["rows"][0]} for one in rows]
            assert sorted(map(str, about["rows"])) == sorted(map(str, shown))
        assert client.get(f"/api/v1/besides/{number}").json().items() <= found.items()
    # The page asks for it while its scripts are still on the way.
    assert f'href="/api/v1/pages/source/{number}"' in client.get(f"/source/{number}").text
    nobody = client.get("/api/v1/pages/source/123456789").json()
    assert not any(nobody["rows"].values())


def test_detections_and_their_light_curves(client: TestClient, read: Read) -> None:
    frames = read("lightcurves")
    for row in read("detections")[::40]:
        detid = row["detid"]
        assert client.get(f"/api/v1/detections/{detid}").json() == row
        found = client.get(f"/api/v1/lightcurves/{detid}").json()
        columns = found.pop("columns")
        assert found.items() <= row.items()
        assert list(columns["time"]) == sorted(columns["time"])
        curve = pd.DataFrame(columns, dtype=object).to_dict("records")
        keys = {"region_num": row["region_num"], "detid": detid}
        assert [{**keys, **frame} for frame in curve] == where(frames, **keys)
        assert curve


def test_observations_and_what_was_searched(client: TestClient, read: Read) -> None:
    obsid = read("observations")[1]["obsid"]
    own = {name: where(read(name), obsid=obsid) for name in ("exposures", "runs", "detections")}
    (one,) = where(read("observations"), obsid=obsid)
    assert client.get(f"/api/v1/obs/{obsid}").json() == {"observation": one, **own}


def test_lineage_by_pages(client: TestClient, read: Read) -> None:
    rows = sorted(read("lineage"), key=lambda row: row["generation"])
    whole = client.get("/api/v1/lineage").json()
    assert whole == {"total": len(rows), "rows": rows}
    page = client.get("/api/v1/lineage?limit=3&offset=2").json()
    assert page == {"total": len(rows), "rows": rows[2:5]}
    number = rows[4]["region_num"]
    assert client.get(f"/api/v1/lineage?source={number}").json()["rows"] == where(
        rows, region_num=number
    )


def test_similar_curves_are_the_nearest_of_numpy(client: TestClient, read: Read) -> None:
    table = pd.DataFrame(read("neighbours"))
    numbers = table[[f"f{place:02d}" for place in range(N_SIMILAR)]].to_numpy(float)
    for query in (0, 17, len(table) - 1):
        own = table.iloc[query]
        apart = np.sqrt(((numbers - numbers[query]) ** 2).sum(axis=1))
        others = table.assign(distance=apart)[table["region_num"] != own["region_num"]]
        best = others.sort_values("distance", kind="stable").drop_duplicates("region_num")[:5]
        found = client.get(
            f"/api/v1/similar/{own['region_num']}", params={"detid": own["detid"], "limit": 5}
        ).json()
        assert found["detid"] == own["detid"]
        rows = pd.DataFrame(found["similar"])
        assert rows["detid"].tolist() == best["detid"].tolist()
        np.testing.assert_allclose(rows["distance"], best["distance"], rtol=1e-12)
    number, best = (read("sources")[3][name] for name in ("region_num", "best_detid"))
    assert client.get(f"/api/v1/similar/{number}").json()["detid"] == best


@settings(max_examples=portion(20), suppress_health_check=list(HealthCheck))
@given(
    side=st.integers(1, 9),
    values=st.lists(st.integers(-1, 2**31 - 1), min_size=81, max_size=81),
)
def test_a_picture_has_north_up_and_shows_what_is_outside(side: int, values: list[int]) -> None:
    counts = np.array(values[: side * side], np.int32)
    shown = cv2.imdecode(np.frombuffer(single.picture(counts), np.uint8), cv2.IMREAD_UNCHANGED)
    assert shown.shape == (side * single.CELL_PIXELS, side * single.CELL_PIXELS, 4)
    cells = shown[:: single.CELL_PIXELS, :: single.CELL_PIXELS][::-1].reshape(-1, 4)
    np.testing.assert_array_equal(cells[:, 3] == 0, counts < 0)
    light = cv2.cvtColor(cells[None, :, :3], cv2.COLOR_BGR2GRAY)[0]
    order = np.argsort(counts, kind="stable")
    inside = order[counts[order] >= 0]
    assert (np.diff(light[inside].astype(int)) >= 0).all()


def test_finders_are_pictures(client: TestClient, read: Read) -> None:
    number = read("sources")[0]["region_num"]
    (drawn,) = where(read("cutouts"), detid=read("sources")[0]["best_detid"])
    answer = client.get(f"/api/v1/cutouts/{number}.png")
    assert answer.headers["content-type"] == "image/png"
    assert answer.content == single.picture(np.array(drawn["n"], np.int32))
    assert client.get("/api/v1/cutouts/99999.png").status_code == 404


@pytest.mark.parametrize(
    ("address", "status"),
    [
        *(("sources/99999", 404), ("sources/x", 422), ("sources/-1", 422), ("sources/1e3", 422)),
        *((f"sources/{1 << 63}", 422), ("detections/x'; DROP TABLE sources --", 404)),
        *(("detections/" + "x" * 200, 422), ("lightcurves/nobody", 404), ("obs/0000000000", 404)),
        *(("obs/x", 422), ("obs/../../x", 404), ("similar/99999", 404), ("photons/99999", 404)),
        *(("similar/1?detid=nobody", 404), ("similar/1?limit=-1", 422), ("lineage?limit=x", 422)),
        ("lineage?offset=9999999999999999999", 422),
    ],
)
def test_what_is_not_there_is_a_sentence(client: TestClient, address: str, status: int) -> None:
    answer = client.get(f"/api/v1/{address}")
    assert answer.status_code == status
    assert answer.json()["detail"].endswith((".", "?"))
    assert len(answer.json()["detail"]) < 400


def test_without_photons_it_is_said_what_makes_them(client: TestClient, read: Read) -> None:
    answer = client.get(f"/api/v1/photons/{read('sources')[0]['region_num']}")
    assert (answer.status_code, "exod explore ROOT --photons" in answer.text) == (404, True)


def test_numbers_that_json_lacks_are_null(
    client: TestClient, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = counting.in_json
    odd = lambda values: inner([float("inf") if isinstance(v, float) else v for v in values])  # noqa: E731
    for module in (counting, single):
        monkeypatch.setattr(module, "in_json", odd)
    row = read("detections")[0]
    for address in (
        *("rows?table=detections", f"detections/{row['detid']}", f"obs/{row['obsid']}"),
        *(f"sources/{row['region_num']}", f"lightcurves/{row['detid']}"),
    ):
        answer = client.get(f"/api/v1/{address}")
        assert answer.status_code == 200
        assert "Infinity" not in answer.text


ADDRESSES = (
    *("meta", "facets?table=detections", "hist2d", "sky", "mask", "rows", "export.csv", "lineage"),
    *("sources/{n}", "detections/{d}", "lightcurves/{d}", "similar/{n}", "obs/{o}"),
)


@pytest.mark.parametrize("address", ADDRESSES)
def test_answers_have_the_tag_of_the_version(
    client: TestClient, product: Product, read: Read, address: str
) -> None:
    row = read("detections")[0]
    path = address.format(n=row["region_num"], d=row["detid"], o=row["obsid"])
    first = client.get(f"/api/v1/{path}")
    assert first.status_code == 200
    # After votes of other tests the tag says how many there are, too.
    assert first.headers["etag"].startswith(f'"{product.version}')
    for told in (first.headers["etag"], f'"x", W/{first.headers["etag"]}', "*"):
        again = client.get(f"/api/v1/{path}", headers={"if-none-match": told})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
    assert client.get(f"/api/v1/{path}", headers={"if-none-match": '"x"'}).status_code == 200
