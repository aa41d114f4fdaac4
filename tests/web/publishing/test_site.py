"""A site of files: whole or not at all, and every file as the manifest says."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exod.archive import Archive
from exod.errors import ArchiveError, ConfigError, ExodError
from exod.web.counting import in_json
from exod.web.product import Product
from exod.web.publishing.site import MANIFEST, check_target, publish


def test_every_file_is_in_the_manifest_with_its_size_and_checksum(
    product: Product, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    told: list[tuple[str, int, int]] = []
    made = publish(product, site, on_file=lambda *what: told.append(what))
    about = json.loads((site / MANIFEST).read_text())
    there = {path.relative_to(site).as_posix(): path for path in site.rglob("*") if path.is_file()}
    assert there.keys() - {MANIFEST} == about["files"].keys()
    for name, file in about["files"].items():
        content = there[name].read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (
            file["bytes"],
            file["sha256"],
        )
    assert made.version == about["version"] == product.version
    told_of = json.loads((site / "data" / "meta.json").read_text())
    about_blocks = told_of.pop("blocks")
    assert told_of == json.loads(json.dumps(product.meta))
    _check_blocks(product, site / "data", about_blocks)
    assert [done for _, done, _ in told] == sorted(done for _, done, _ in told)
    page = (site / "index.html").read_text()
    assert 'name="exod-mode" content="static"' in page
    assert "{{" not in page
    assert "http" not in page.replace("http-equiv", "").replace("https://*.", "")


def _check_blocks(product: Product, data: Path, about: dict[str, Any]) -> None:
    """A block has all rows of its sources, and tells where the others are."""
    found = _texts(data, "blocks")
    assert len(found) == about["count"]
    assert about["tables"] == ["sources.parquet", "detections.parquet", "coverage.parquet"]
    tables = {name: pq.read_table(data / name) for name in about["tables"]}
    files = {name: pq.ParquetFile(data / name) for name in about["files"]}
    assert "lightcurves.parquet" in files
    numbers = sorted(tables["sources.parquet"]["region_num"].to_pylist())
    for name, table in tables.items():
        listed = [row for block in found for row in block["rows"].get(name, ())]
        expected = table.add_column(0, "#row", [pa.array(range(len(table)))])
        expected = expected.sort_by([("region_num", "ascending"), ("#row", "ascending")])
        kept = expected.drop_columns("#row").to_pylist()
        large = [name for name in kept[0] if any(_is_large(row[name]) for row in kept)]
        assert large or name != "sources.parquet"
        for row in kept:
            row.update({name: str(row[name]) for name in large if row[name] is not None})
        assert [[*row.values()] for row in listed] == [in_json(row.values()) for row in kept], name
        if name in found[0]["places"]:
            listed = [place for block in found for place in block["places"].get(name, ())]
            assert listed == expected["#row"].to_pylist()
    for table, key in (("sources", "region_num"), ("detections", "detid")):
        width, content = about["widths"][table], (data / f"{table}.keys").read_bytes()
        keys = [content[at : at + width].decode() for at in range(0, len(content), width)]
        wanted = [str(value) for value in tables[f"{table}.parquet"][key].to_pylist()]
        assert [one.rstrip() for one in keys] == wanted
    names = _texts(data, "names")
    assert len(names) == about["names"]
    detections = tables["detections.parquet"]
    for detid, number in zip(
        *(detections[name].to_pylist() for name in ("detid", "region_num")), strict=True
    ):
        assert names[zlib.crc32(detid.encode()) % len(names)].pop(detid) == number
    assert not any(names)
    for number in numbers:
        block = found[number // about["sources"]]
        assert number in [row["region_num"] for row in block["rows"]["sources.parquet"]]
        for name, groups in block["groups"].items():
            file = files[name]
            known = {
                file.metadata.row_group(group).column(0).data_page_offset: group
                for group in range(file.num_row_groups)
            }
            told = [known[at[0][0]] for _, low, high, at in groups if low <= number <= high]
            own = file.read_row_groups(told, columns=["region_num"])["region_num"].to_numpy()
            every = file.read(columns=["region_num"])["region_num"].to_numpy()
            assert (own == number).sum() == (every == number).sum() > 0
    lowest = [numbers.index(n) for n in range(0, numbers[-1] + 1, about["sources"]) if n in numbers]
    for place in lowest:
        block = found[numbers[place] // about["sources"]]
        assert block["before"] == (numbers[place - 1] if place else None)
    assert found[-1]["after"] is None


def _is_large(value: object) -> bool:
    """Whether it is a whole number that JSON of browsers does not tell from others."""
    return isinstance(value, int) and abs(value) > 2**53


def _texts(data: Path, name: str) -> list[Any]:
    """What is in a file of compressed JSON, by its index."""
    ends = np.frombuffer((data / f"{name}.index").read_bytes(), "<u8")
    content = (data / name).read_bytes()
    assert ends[-1] == len(content)
    return [json.loads(zlib.decompress(content[start:stop])) for start, stop in pairwise(ends)]


def test_what_is_no_site_is_never_replaced(product: Product, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.mkdir()
    (own / "thesis.txt").write_text("mine")
    for replace in (False, True):
        with pytest.raises(ConfigError, match="no published site"):
            publish(product, own, replace=replace)
    (own / MANIFEST).write_text('{"kind": "another"}')
    with pytest.raises(ConfigError, match="no published site"):
        publish(product, own, replace=True)
    assert (own / "thesis.txt").read_text() == "mine"
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ExodError, match="cannot be written"):
        check_target(file / "site", product.store, replace=False)
    with pytest.raises(ConfigError, match="no published site"):
        publish(product, file, replace=True)


def test_a_site_is_never_written_into_the_archive(product: Product, tmp_path: Path) -> None:
    root = Path(product.store.root)
    before = sorted(root.rglob("*"))
    (tmp_path / "link").symlink_to(root)
    for place in (root, tmp_path / "link"):
        for name in ("site", "vetting", "explorer/site"):
            with pytest.raises(ArchiveError, match="outside of it"):
                publish(product, place / name)
    assert sorted(root.rglob("*")) == before


def test_a_site_is_replaced_if_that_is_wanted_and_stays_after_an_error(
    product: Product, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    publish(product, site)
    (site / "data" / "old.parquet").write_text("old")
    with pytest.raises(ConfigError, match="--replace"):
        publish(product, site)

    def fail(name: str, *_: int) -> None:
        if name.startswith("data/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(product, site, replace=True, on_file=fail)
    assert (site / "data" / "old.parquet").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
    publish(product, site, replace=True)
    assert not (site / "data" / "old.parquet").exists()


def test_the_command_says_what_it_wrote_and_what_it_will_not(
    command: Callable[..., tuple[int, str, str]], explored: Archive, tmp_path: Path
) -> None:
    site = tmp_path / "site"
    code, said, _ = command("publish", explored.root, "--to", site)
    assert code == 0
    assert "files" in said
    report = (site / "data" / "report.json").read_text()
    assert "Runs and significance" in report
    assert str(Path(explored.root).parent) not in report
    code, _, said = command("publish", explored.root, "--to", site)
    assert (code, "--replace" in said) == (2, True)
    assert command("publish", explored.root, "--to", site, "--replace")[0] == 0
    code, _, said = command("publish", tmp_path / "nothing", "--to", tmp_path / "other")
    assert code != 0
    assert not (tmp_path / "other").exists()
