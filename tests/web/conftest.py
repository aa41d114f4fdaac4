"""One small archive, its product and its server, for all tests of the explorer."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd
import pytest
from helpers.explored import make_explored
from starlette.testclient import TestClient

from exod.archive import Archive
from exod.web.app import make_app
from exod.web.product import Product


@pytest.fixture(scope="session")
def explored(tmp_path_factory: pytest.TempPathFactory) -> Archive:
    """An archive with the product of the explorer; not to be changed."""
    return make_explored(tmp_path_factory.mktemp("explored") / "results")


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
