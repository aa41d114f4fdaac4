"""An S3 service on the loopback, without the AWS settings of whoever runs the tests."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec
import pytest

from exod.archive import Archive

KEY, SECRET = "the-key-name", "the-secret-word"


@contextmanager
def no_settings() -> Iterator[None]:
    """No AWS settings, and short waits."""
    from botocore import retryhandler

    wait = retryhandler.delay_exponential
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("AWS_", "FSSPEC_")) or name.lower().endswith("_proxy"):
                patch.delenv(name)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        # What botocore waits before it tries again, and how often s3fs lets it start anew.
        patch.setattr(
            retryhandler, "delay_exponential", lambda *args, **more: 0.01 * wait(*args, **more)
        )
        patch.setattr(fsspec.get_filesystem_class("s3"), "retries", 2)
        yield


@contextmanager
def running_store(bucket: str) -> Iterator[str]:
    """URL of an S3 service with an empty bucket."""
    moto_server = pytest.importorskip("moto.server", reason="moto, the S3 service, is missing")
    server = moto_server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    logging.getLogger("werkzeug").setLevel("ERROR")
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    files(url).mkdir(bucket)
    yield url
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    server.stop()


def options(url: str, **more: Any) -> dict[str, Any]:
    """Storage options for the service at `url`."""
    return {"endpoint_url": url, "key": KEY, "secret": SECRET, **more}


def files(url: str) -> Any:
    """The service without exod."""
    return fsspec.filesystem("s3", use_listings_cache=False, **options(url))


def names_in(archive: Archive, url: str) -> set[str]:
    """What the bucket has of an archive."""
    root = archive.root.removeprefix("s3://")
    return {name.removeprefix(f"{root}/") for name in files(url).find(root)}


def names_expected(archive: Archive) -> set[str]:
    """What the ledger of an archive refers to."""
    entries = archive.entries()
    tables = {file.path for entry in entries for file in entry.files.values() if file.path}
    return tables | {f"ledger/{entry.obsid}.json" for entry in entries} | {"archive.json"}
