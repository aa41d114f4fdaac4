"""One small archive, its product and its server, for all tests of the explorer."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import pandas as pd
import pytest
from helpers.explored import make_explored
from starlette.testclient import TestClient

from exod.archive import Archive
from exod.catalogue.report.numbers import Numbers
from exod.stages.report import page
from exod.stages.report.count import gather
from exod.web.app import make_app
from exod.web.product import Product


@pytest.fixture(scope="session")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """An archive with the product of the explorer; not to be changed."""
    return make_explored(tmp_path_factory.mktemp("explored") / "results")


@pytest.fixture(scope="session", autouse=True)
def quick_report() -> Iterator[None]:
    """A report is counted once an archive, with one small picture: it has tests of its own."""
    drawn = {"significance": cv2.imencode(".png", np.zeros((8, 8), np.uint8))[1].tobytes()}
    counted: dict[str, Numbers] = {}

    def count(archive: Archive, **settings: int) -> Numbers:
        if archive.root not in counted:
            counted[archive.root] = gather(archive, **settings)
        return counted[archive.root]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "report_pictures", lambda _numbers: drawn)
        patch.setattr(page, "gather", count)
        yield


@pytest.fixture(scope="session")
def product(explored: Archive) -> Product:
    return Product(explored)


@pytest.fixture(scope="session")
def frames(product: Product) -> dict[str, pd.DataFrame]:
    """Each table of the product with its index, as pandas reads them: an independent reference."""
    found = {}
    for table in ("sources", "detections"):
        read = []
        for name in (f"{table}.parquet", f"{table}.index.parquet"):
            with product.opened(name) as source:
                read.append(pd.read_parquet(source))
        found[table] = pd.concat([read[0], read[1].add_prefix("i.")], axis=1)
    return found


@pytest.fixture(scope="session")
def client(explored: Archive) -> Iterator[TestClient]:
    """A browser without pages, asking by the name of the loopback."""
    with TestClient(make_app(explored), base_url="http://127.0.0.1:8765") as asking:
        yield asking
