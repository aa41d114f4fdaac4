"""Files and folders are there whole or not at all, whatever happens while they are written."""

import errno
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

import pytest
from helpers.archives import PowerCut, cut_power, fail_at
from helpers.processes import TESTS
from helpers.writers import read, write_file, write_folder, write_pieces
from hypothesis import given
from hypothesis import strategies as st

from exod.errors import ArchiveError, ExodError, InputError
from exod.files.whole import is_temporary, scratch_file, whole_file, whole_folder, write_whole

WRITERS = pytest.mark.parametrize("write", [write_file, write_pieces, write_folder])
Writer = Callable[[Path, str], None]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "result"


@WRITERS
@given(contents=st.lists(st.text("ab\n\u03c3", max_size=50), min_size=1, max_size=3))
def test_the_last_content_is_there_and_nothing_else(
    write: Writer, contents: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("whole")
    for content in contents:
        write(folder / "above" / "result", content)
        assert read(folder / "above" / "result") == content
    assert [item.name for item in (folder / "above").iterdir()] == ["result"]


# -------------------------------------------------------------------- failures


@WRITERS
@pytest.mark.parametrize("old", ["old", None])
def test_an_error_at_any_step_leaves_the_old_content(
    write: Writer, old: str | None, tmp_path: Path
) -> None:
    seen = []
    for step in range(20):
        path = tmp_path / str(step) / "result"
        if old:
            write(path, old)
        with pytest.MonkeyPatch.context() as patch:
            fail_at(patch, step, OSError(errno.ENOSPC, "No space left on device"), once=True)
            try:
                write(path, "new")
            except ExodError as error:
                said = str(error)
            else:
                # Past the last step, or a folder that is there was not to be made again.
                continue
        seen.append(read(path))
        remedy = "make room there, or write to another disk"
        assert said == f"{path} cannot be written: No space left on device; {remedy}."
        assert not path.parent.exists() or set(path.parent.iterdir()) <= {path}
    # To flush the content and to name it, at least. The folder is flushed after.
    before = seen[: seen.index("new")]
    assert before == [old] * max(2, len(before))
    assert set(seen[len(before) :]) == {"new"}


@WRITERS
def test_a_power_cut_at_any_step_leaves_the_old_content(write: Writer, path: Path) -> None:
    """Of a folder that is replaced, the old one may have its name with the ending .old."""
    write(path, "old")
    steps = 0
    for step in range(100):
        with pytest.MonkeyPatch.context() as patch:
            cut_power(patch, step)
            try:
                write(path, "new")
            except PowerCut:
                steps += 1
            else:
                break
        others = [item for item in path.parent.iterdir() if item != path]
        kept = [item for item in others if not is_temporary(item.name)]
        assert {read(item) for item in ([path] if path.exists() else kept)} <= {"old", "new"}
        assert path.exists() or len(kept) == 1
    assert steps >= 3
    assert read(path) == "new"


@WRITERS
def test_a_full_disk(write: Writer, path: Path) -> None:
    write(path, "old")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(ExodError, match=rf"{path} cannot be written: File too large; .*\.$"):
            write(path, "x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read(path) == "old"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt, InputError("half way"), ValueError])
@pytest.mark.parametrize("kind", [whole_file, whole_folder])
def test_what_goes_wrong_inside_goes_on(
    kind: Callable[[Path], AbstractContextManager[Path]], error: BaseException, path: Path
) -> None:
    with suppress(KeyboardInterrupt, InputError, ValueError), kind(path) as temporary:
        name = temporary / "one" if kind is whole_folder else temporary
        name.write_text("half")
        raise error
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.ENOSPC, "make room there"),
        (errno.EROFS, "where that is allowed"),
        (errno.EISDIR, "give another name"),
        (errno.EIO, "check the disk and try again"),
    ],
)
def test_the_remedy_fits_the_cause(number: int, remedy: str, path: Path) -> None:
    with pytest.raises(ArchiveError, match=remedy), whole_file(path, error=ArchiveError):
        raise OSError(number, os.strerror(number))
    with pytest.raises(InputError, match=r"; use --cache\.$"):
        write_whole(path.parent, b"", error=InputError, remedy="use --cache")
    with pytest.raises(OSError, match="cause") as told, whole_file(path, error=None):
        raise OSError(number, "cause")
    assert told.value.errno == number


def test_names_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "below" / "this", tmp_path / ("long" * 99)):
        for write in (write_file, write_folder):
            with pytest.raises(ExodError, match="give another name"):
                write(path, "")


WRITE_FOREVER = """
import sys
from itertools import count
from pathlib import Path
from helpers import writers
for number in count():
    getattr(writers, sys.argv[1])(Path(sys.argv[2]), "ab"[number % 2] * 100_000)
    print(number, flush=True)
"""


@WRITERS
def test_killed_at_any_moment(write: Writer, path: Path) -> None:
    write(path, "a" * 100_000)
    for lines in (1, 4, 7):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOREVER, write.__name__, path],
            stdout=subprocess.PIPE,
            cwd=TESTS,
        )
        assert process.stdout is not None
        for _ in range(lines):
            process.stdout.readline()
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        kept = [item for item in path.parent.iterdir() if not is_temporary(item.name)]
        assert {read(item) for item in kept} <= {"a" * 100_000, "b" * 100_000}
        assert path in kept or write is write_folder


# -------------------------------------------------------------------- several at once


@WRITERS
def test_of_several_one_is_there_whole(write: Writer, path: Path) -> None:
    contents = [str(number) * 1000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            done = [pool.submit(write, path, content) for content in contents]
            errors = [item.exception() for item in done]
            # Two that replace a folder at the same moment may be in each other's way.
            assert write is write_folder or errors == [None] * 8
            assert errors.count(None) >= 1
            assert read(path) in contents
    assert [item for item in path.parent.iterdir() if is_temporary(item.name)] == []


@pytest.mark.parametrize("links", [True, False], ids=["hard links", "no hard links"])
def test_what_is_there_may_be_spared(
    links: bool, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOTSUP, "not supported")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    with whole_file(path, overwrite=False) as temporary:
        temporary.write_text("first")
    monkeypatch.undo()
    with pytest.raises(FileExistsError), whole_file(path, overwrite=False) as temporary:
        temporary.write_text("second")
    assert path.read_text() == "first"
    with (
        pytest.raises(ExodError, match="give another name"),
        whole_folder(path.parent, overwrite=False),
    ):
        pass
    assert list(path.parent.iterdir()) == [path]


def test_an_empty_folder_is_no_obstacle(path: Path) -> None:
    path.mkdir(parents=True)
    with whole_folder(path, overwrite=False) as temporary:
        (temporary / "one").touch()
    assert [item.name for item in path.iterdir()] == ["one"]


def test_scratch_files_go(path: Path) -> None:
    path.parent.mkdir()
    with suppress(ValueError), scratch_file(path) as temporary:
        temporary.write_text("half")
        assert is_temporary(str(temporary))
        raise ValueError
    with scratch_file(path):
        pass
    assert list(path.parent.iterdir()) == []


# -------------------------------------------------------------------- power cuts


@contextmanager
def recorded() -> Iterator[list[str]]:
    """What is flushed to the disk and named, in order."""
    seen: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        for name in ("replace", "rename", "link"):
            real = getattr(os, name)

            def named(old: str, new: str, *, real: Callable[..., None] = real) -> None:
                real(old, new)
                seen.append(f"name {Path(new).name}")

            patch.setattr(os, name, named)
        flush = os.fsync

        def flushed(number: int) -> None:
            flush(number)
            found = Path(f"/proc/self/fd/{number}").readlink().name
            seen.append(f"flush {'temporary' if is_temporary(found) else found}")

        patch.setattr(os, "fsync", flushed)
        yield seen


@pytest.mark.parametrize("overwrite", [True, False])
def test_content_is_durable_before_its_name_and_then_the_name(overwrite: bool, path: Path) -> None:
    with recorded() as seen, whole_file(path, overwrite=overwrite) as temporary:
        temporary.write_text("content")
    # The folder is new as well, so that its own name is made durable.
    above = path.parent.parent.name
    assert seen == ["flush temporary", "name result", "flush folder", f"flush {above}"]
    with recorded() as seen:
        write_whole(path, "content")
    assert seen == ["flush temporary", "name result", "flush folder"]


def test_everything_in_a_folder_is_durable_before_its_name(path: Path) -> None:
    with recorded() as seen:
        write_folder(path, "content")
    assert set(seen[:4]) == {"flush one.fits", "flush two.fits", "flush inside", "flush temporary"}
    assert seen[4:] == ["name result", "flush folder", f"flush {path.parent.parent.name}"]


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.EIO])
def test_disks_that_cannot_flush_folders(
    number: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush = os.fsync

    def refuse(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().is_dir():
            raise OSError(number, os.strerror(number))
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", refuse)
    if number == errno.EIO:
        with pytest.raises(ExodError, match="Input/output error; check the disk"):
            write_file(path, "content")
    else:
        write_file(path, "content")
    assert read(path) == "content"
