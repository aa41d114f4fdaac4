"""Files in ranges, as HTTP says and stores do."""

from __future__ import annotations

import io

import pyarrow.parquet as pq
import pytest
from helpers.examples import portion
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from exod.web.product import Product
from exod.web.routes.files import byte_range

NAME = "sources.parquet"
few = settings(max_examples=portion(40), suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def content(product: Product) -> bytes:
    with product.opened(NAME) as source:
        return bytes(source.read())


def test_a_whole_file_is_that_of_the_product(client: TestClient, content: bytes) -> None:
    answer = client.get(f"/data/{NAME}")
    assert answer.content == content
    assert answer.headers["accept-ranges"] == "bytes"
    assert pq.read_table(io.BytesIO(answer.content)).num_rows > 0
    head = client.head(f"/data/{NAME}")
    assert (head.content, head.headers["content-length"]) == (b"", str(len(content)))


@few
@given(start=st.integers(0, 10**6), length=st.integers(0, 10**6))
def test_a_range_is_that_part_of_the_file(
    client: TestClient, content: bytes, start: int, length: int
) -> None:
    start %= len(content) + 3
    last = start + length
    answer = client.get(f"/data/{NAME}", headers={"range": f"bytes={start}-{last}"})
    if start >= len(content):
        assert answer.status_code == 416
        assert answer.headers["content-range"] == f"bytes */{len(content)}"
        return
    assert answer.status_code == 206
    assert answer.content == content[start : last + 1]
    stop = min(last + 1, len(content))
    assert answer.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(content)}"


def test_the_end_of_a_file(client: TestClient, content: bytes) -> None:
    for last in (1, 8, len(content), 10 * len(content)):
        answer = client.get(f"/data/{NAME}", headers={"range": f"bytes=-{last}"})
        assert answer.content == content[-last:]


@pytest.mark.parametrize(
    "text", ["bytes=-", "bytes=5-2", "bytes=a-b", "lines=0-3", "bytes=0-1,4-5", "bytes=-0", "x"]
)
def test_what_is_no_range_has_no_content(client: TestClient, text: str) -> None:
    assert byte_range(text, 100) is None
    answer = client.get(f"/data/{NAME}", headers={"range": text})
    assert (answer.status_code, answer.content) == (416, b"")


def test_what_has_not_changed_is_not_sent_again(client: TestClient, content: bytes) -> None:
    tag = client.head(f"/data/{NAME}").headers["etag"]
    again = client.get(f"/data/{NAME}", headers={"if-none-match": tag})
    assert (again.status_code, again.content) == (304, b"")
    part = {"range": "bytes=0-3"}
    assert client.get(f"/data/{NAME}", headers={**part, "if-range": tag}).status_code == 206
    other = client.get(f"/data/{NAME}", headers={**part, "if-range": '"another"'})
    assert (other.status_code, other.content) == (200, content)


def test_only_files_of_the_product_are_there(client: TestClient) -> None:
    for name in ("archive.json", "sources-all.parquet", "ledger"):
        answer = client.get(f"/data/{name}")
        assert answer.status_code == 404
        assert name in answer.json()["detail"]
