"""Files that a disk or a person changed: no reader takes them for what was written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from helpers.archives import make_tables
from helpers.damage import changed, concerned, flipped, readers, silent, stored_tables
from helpers.query_archives import make_queried
from hypothesis import given
from hypothesis import strategies as st
from typer.main import get_command

from exod.archive import Archive, input_files, open_archive
from exod.archive.derived import EXPLORER
from exod.archive.ledger import table as ledger_table
from exod.cli import app
from exod.config import Config
from exod.errors import ArchiveError
from exod.files import seals
from exod.files.seals import Seal, SealedFile, SealingFile, open_text, seal_text, sealed
from exod.schemas import DERIVED
from exod.schemas.conditions import Query
from exod.stages.query.rows import select
from exod.stages.verify import verify

OBSID = "0001730201"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    """All tables and products; half of the observations are in compact files too, of blocks."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(seals, "BLOCK", 4096)
        root = tmp_path_factory.mktemp("damaged") / "archive"
        made = make_queried(root, 3, 3)
        made.compact()
        made.commit(OBSID, "OK", make_tables())
        yield made


@pytest.fixture(scope="module")
def truth(archive: Archive) -> dict[str, str]:
    return {name: read() for name, read in readers(archive).items()}


def test_what_is_whole_is_not_damaged(archive: Archive) -> None:
    found = list(verify(archive))
    assert {one.path for one in found} >= {
        str(path.relative_to(archive.root)) for path in stored_tables(archive)
    }
    assert [one.fault for one in found if one.fault] == []
    assert all(one.is_sealed for one in found)


@pytest.mark.drill
def test_no_flipped_bit_changes_an_answer(archive: Archive, truth: dict[str, str]) -> None:
    random = np.random.default_rng(12)
    of_each = {path.parent: path for path in random.permutation(stored_tables(archive))}
    for path in of_each.values():
        content = flipped(path.read_bytes(), random)
        assert silent(archive, path, content, truth, concerned(path, truth)) == []


def test_no_file_in_the_place_of_another_changes_an_answer(
    archive: Archive, truth: dict[str, str]
) -> None:
    files = stored_tables(archive)
    for path in files[::3]:
        alike = [other for other in files if other.parent == path.parent and other != path]
        own = [other for other in alike if other.name.split("-")[0] == path.name.split("-")[0]]
        for other in (own or alike)[:1]:
            content = other.read_bytes()
            if content != path.read_bytes():
                assert silent(archive, path, content, truth, concerned(path, truth)) == []


@pytest.mark.parametrize("change", [lambda c: b"", lambda c: c[:-1], lambda c: c[: len(c) // 2]])
def test_a_file_that_was_cut_is_noticed(
    archive: Archive, truth: dict[str, str], change: Any
) -> None:
    for table in ("regions", "runs"):
        path = next(path for path in stored_tables(archive) if path.parent.name == table)
        content = change(path.read_bytes())
        assert silent(archive, path, content, truth, concerned(path, truth)) == []


def test_an_older_table_in_the_place_of_the_new_is_noticed(tmp_path: Path) -> None:
    archive = Archive.create(tmp_path, Config())
    old = archive.commit(OBSID, "OK", make_tables(seed=1))
    content = Path(archive.root, old.path("regions")).read_bytes()
    new = archive.commit(OBSID, "OK", make_tables(seed=2))
    Path(archive.root, new.path("regions")).write_bytes(content)
    with pytest.raises(ArchiveError, match=r"regions/.* is not what was written: .*exod verify"):
        archive.regions.compute(scheduler="sync")
    assert [one.path for one in verify(archive) if one.fault] == [new.path("regions")]


# -------------------------------------------------------------------- entries and pointers


def test_no_flipped_bit_of_an_entry_or_a_pointer_changes_what_it_says(archive: Archive) -> None:
    random = np.random.default_rng(5)
    root = Path(archive.root)
    names = [*root.glob("ledger/*.json"), *root.glob("*/current.json"), root / "compact.json"]
    said = {path: open_text(path.read_bytes()) for path in names}
    for number in random.integers(len(names), size=60):
        path = names[number]
        with changed(path, flipped(path.read_bytes(), random)):
            ledger_table._remembered.clear()
            (found,) = (one for one in verify(open_archive(root)) if one.fault)
            assert found.path == str(path.relative_to(root))
    assert said == {path: open_text(path.read_bytes()) for path in names}
    ledger_table._remembered.clear()


def test_entries_without_a_digest_are_read(tmp_path: Path) -> None:
    """As versions before wrote them: neither the entry nor the tables have digests."""
    archive = Archive.create(tmp_path, Config())
    entries = [archive.commit(f"000173020{i}", "OK", make_tables(f"000173020{i}")) for i in (1, 2)]
    for entry in entries:
        file = tmp_path / "ledger" / f"{entry.obsid}.json"
        content = json.loads(open_text(file.read_bytes()))
        for table in content["files"].values():
            del table["sha256"]
        file.write_text(json.dumps(content))
    ledger_table._remembered.clear()
    expected = len(archive.regions.compute(scheduler="sync"))
    assert expected == sum(entry.rows("regions") for entry in entries)
    found = list(verify(archive))
    assert not any(one.is_sealed for one in found if one.path.endswith(".parquet"))
    assert not any(one.fault for one in found)
    first, second = (tmp_path / entry.path("regions") for entry in entries)
    shutil.copy(second, first)
    file = tmp_path / "ledger" / f"{entries[0].obsid}.json"
    content = json.loads(file.read_text())
    # As if both had the same size.
    content["files"]["regions"]["bytes"] = second.stat().st_size
    file.write_text(json.dumps(content))
    ledger_table._remembered.clear()
    for read in (
        lambda: archive.regions.compute(scheduler="sync"),
        lambda: archive.observation(entries[0].obsid, "regions"),
        lambda: select(archive, Query(table="regions")).computed(),
    ):
        with pytest.raises(ArchiveError, match=r"has rows of observation 0001730202; run .*verify"):
            read()
    (fault,) = (one for one in verify(archive) if one.fault)
    assert (fault.path, fault.obsid) == (entries[0].path("regions"), entries[0].obsid)


def test_pages_have_checksums(tmp_path: Path) -> None:
    archive = Archive.create(tmp_path, Config())
    entry = archive.commit(OBSID, "OK", make_tables(n=500))
    path = tmp_path / entry.path("regions")
    column = pq.ParquetFile(path).metadata.row_group(0).column(3)
    content = bytearray(path.read_bytes())
    content[column.data_page_offset + column.total_compressed_size - 2] ^= 4
    path.write_bytes(content)
    with pytest.raises(OSError, match="CRC checksum"):
        pq.ParquetFile(path, page_checksum_verification=True).read()


# -------------------------------------------------------------------- the command


def test_the_command_lists_what_to_do(
    archive: Archive, command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    root = Path(archive.root)
    code, said, _ = command("verify", root)
    assert (code, "Nothing is damaged." in said, "no digest" in said) == (0, True, False)
    own = root / archive.entry(OBSID).path("runs")
    compact = next(root.glob("compact/*/regions-0.parquet"))
    pointer = root / "flags" / "current.json"
    listed = tmp_path / "damaged.jsonl"
    with changed(own, b"x"), changed(compact, b"y"), changed(pointer, b"{"):
        code, said, wrong = command("verify", root, "--to", listed)
    assert code == 1
    assert wrong == f"exod: 3 files of {root} damaged.\n"
    rows = {row["path"]: row for row in map(json.loads, listed.read_text().splitlines())}
    assert rows.keys() == {str(path.relative_to(root)) for path in (own, compact, pointer)}
    for path, remedy, obsid in (
        (own, f"exod detect {OBSID} --archive {root} --force", OBSID),
        (compact, f"exod compact {root} --force", ""),
        (pointer, f"delete {pointer}, then exod flags {root}", ""),
    ):
        row = rows[str(path.relative_to(root))]
        assert (row["remedy"], row["obsid"]) == (remedy, obsid)
        assert f"  {remedy}\n" in said
    assert rows[str(own.relative_to(root))]["fault"].startswith("it has 1 bytes and had ")
    before = listed.read_bytes()
    code, said, _ = command("verify", root, "--to", listed)
    assert (code, said, listed.read_bytes()) == (2, "", before)
    assert command("verify", root, "--to", listed, "--overwrite")[0] == 0
    assert listed.read_bytes() != before


def test_what_the_command_says_mends_it(
    command: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    archive = make_queried(tmp_path / "archive", 2, 2)
    archive.compact()
    for path in Path(archive.root).glob("compact/*/*.parquet"):
        path.unlink()
    code, said, _ = command("verify", archive.root)
    assert (code, "it is gone" in said) == (1, True)
    remedy = said.splitlines()[-1].split()
    assert command(*remedy[1:])[0] == 0
    assert command("verify", archive.root)[0] == 0


def test_every_product_is_said_to_be_made_by_a_command_that_there_is(tmp_path: Path) -> None:
    archive = Archive.create(tmp_path / "archive", Config())
    products = [*DERIVED, EXPLORER]
    for product in products:
        pointer = Path(archive.root, product, "current.json")
        pointer.parent.mkdir()
        pointer.write_text("{")
    remedies = [one.remedy for one in verify(archive) if one.fault]
    commands = {remedy.partition(", then exod ")[2].split()[0] for remedy in remedies}
    assert len(remedies) == len(products)
    assert commands <= get_command(app).commands.keys()


@pytest.mark.parametrize("secret", ["?token=xyz", "?X-Amz-Signature=xyz&X-Amz-Expires=9"])
def test_no_signature_of_a_url_is_kept(tmp_path: Path, secret: str) -> None:
    archive = Archive.create(tmp_path, Config())
    url = f"https://me:xyz@host/{OBSID}/evt.ftz{secret}"
    about = {"name": f"evt.ftz{secret}", "size": 1, "checksum": "", "path": url, "stamp": "1"}
    reason = f"{url} cannot be read, nor '{url}'."
    entry = archive.commit(OBSID, "FAILED", reason=reason, traceback=reason, inputs=[about])
    assert b"xyz" not in (tmp_path / "ledger" / f"{OBSID}.json").read_bytes()
    assert entry.inputs[0].path.startswith(f"https://host/{OBSID}/evt.ftz?")
    # The same file with another signature is the same file.
    assert input_files([about | {"path": url.replace("xyz", "uvw")}]) == entry.inputs


# -------------------------------------------------------------------- seals


@given(
    content=st.binary(max_size=200),
    sizes=st.lists(st.integers(0, 50), max_size=8),
    block=st.integers(0, 6).map(lambda power: 1 << power),
    reads=st.lists(st.tuples(st.integers(0, 220), st.integers(-1, 220)), max_size=8),
    place=st.integers(0, 199),
)
def test_a_sealed_file_is_read_as_it_is_or_not_at_all(
    content: bytes, sizes: list[int], block: int, reads: list[tuple[int, int]], place: int
) -> None:
    seal = written(content, sizes, block)
    assert (seal.size, seal.sha256) == (len(content), sealed(content).sha256)
    assert len(seal.blocks) == seals.DIGITS * -(-len(content) // block)
    damaged = bytearray(content)
    if content:
        damaged[place % len(content)] ^= 1
    for stored in (content, bytes(damaged)):
        file = SealedFile(lambda a, b, stored=stored: stored[a:b], seal, seals.DamagedError)
        for start, size in reads:
            file.seek(start)
            expected = content[start:] if size < 0 else content[start : start + size]
            first = start // block * block
            covered = slice(first, -(-(start + len(expected)) // block) * block)
            if stored[covered] == content[covered] or not expected:
                assert file.read(size) == expected
            else:
                with pytest.raises(seals.DamagedError, match="another SHA-256"):
                    file.read(size)


def written(content: bytes, sizes: list[int], block: int) -> Seal:
    """The seal of a file that is written in pieces of these sizes, and then the rest."""
    import io

    sink = io.BytesIO()
    file = SealingFile(sink, block)
    start = 0
    for size in [*sizes, len(content)]:
        file.write(content[start : start + size])
        start += size
    assert sink.getvalue() == content
    return file.seal()


@given(value=st.dictionaries(st.text(), st.integers() | st.text(), min_size=1), flip=st.data())
def test_a_sealed_text_says_what_it_said(value: dict[str, Any], flip: Any) -> None:
    text = json.dumps(value).encode()
    whole = seal_text(text)
    assert open_text(whole) == text
    assert json.loads(whole).keys() == value.keys() | {"sha256"}
    place = flip.draw(st.integers(len(b'{"sha256": "'), len(whole) - 1))
    damaged = bytearray(whole)
    damaged[place] ^= 1 << flip.draw(st.integers(0, 7))
    try:
        found = open_text(bytes(damaged))
    except ValueError:
        return
    # What is no digest any more is a key that nothing knows.
    assert found == bytes(damaged)
    assert place < len(b'{"sha256": "",') + 64
