"""What the search keeps of an observation, against the tables of the archive."""

from __future__ import annotations

import numpy as np
from starlette.testclient import TestClient

from exod.archive import Archive


def test_the_image_of_a_run_has_its_counts_and_regions(
    client: TestClient, explored: Archive
) -> None:
    entry = explored.entries()[0]
    obsid, tables = entry.obsid, explored.observation(entry.obsid)
    about = client.get(f"/api/v1/obs/{obsid}/search").json()
    assert about["ledger"]["attempt"] == entry.attempt
    assert sorted(about["runs"]) == sorted(tables["runs"]["runid"])
    assert about["rates"]["n"] == about["bad_time"] == about["hot_pixels"]["n"] == []
    for runid in about["runs"]:
        found = client.get(f"/api/v1/obs/{obsid}/images/{runid}").json()
        images = tables["images"].set_index("runid")
        np.testing.assert_array_equal(found["counts"], images.loc[runid, "n"])
        assert found["rows"] * found["columns"] == len(found["counts"])
        run = tables["runs"].set_index("runid").loc[runid]
        regions = tables["regions"][tables["regions"]["runid"] == runid].set_index("detid")
        assert {one["detid"] for one in found["regions"]} == set(regions.index)
        for one in found["regions"]:
            assert one["y_lo"] == regions.loc[one["detid"], "y_lo"] - run["y_lo"]
            assert one["x_hi"] == regions.loc[one["detid"], "x_hi"] - run["x_lo"]


def test_what_was_not_searched_is_a_sentence(client: TestClient, explored: Archive) -> None:
    obsid = explored.entries()[0].obsid
    for path, said in (
        ("0999999999/search", "never searched"),
        ("0999999999/images/a", "never searched"),
        (f"{obsid}/images/nothing", "no image of a run 'nothing'"),
    ):
        answer = client.get(f"/api/v1/obs/{path}")
        assert (answer.status_code, said in answer.json()["detail"]) == (404, True)
