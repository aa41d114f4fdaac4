"""What is tried again, how often and after how long."""

import errno

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exod.errors import ArchiveError, DownloadError
from exod.files.retry import LONGEST_WAIT, PASSING_STATUS, PassingError, may_pass, persistently


class RefusalError(Exception):
    """What a library raises for an answer of HTTP."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


PASSING = (
    PassingError("is busy"),
    ConnectionResetError(),
    TimeoutError(),
    OSError(errno.EIO, "7 of 9 bytes came"),
    RefusalError(503),
    ValueError("not a table"),
)
LASTING = (
    DownloadError("refuses"),
    ArchiveError("is damaged"),
    FileNotFoundError(),
    PermissionError(),
    OSError(errno.ENOSPC, "No space left on device"),
    OSError(errno.EROFS, "Read-only file system"),
    RefusalError(403),
    ImportError("astroquery"),
    AttributeError("a defect"),
)


@pytest.mark.parametrize("error", PASSING, ids=repr)
@pytest.mark.parametrize("attempts", [1, 3])
def test_what_may_pass_is_tried_so_often(error: Exception, attempts: int) -> None:
    waits: list[float] = []
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        raise error

    with pytest.raises(type(error)) as told:
        persistently(fail, attempts, 1.0, waits.append)
    assert told.value is error
    assert (len(tries), len(waits)) == (attempts, attempts - 1)


@pytest.mark.parametrize("error", [*LASTING, KeyboardInterrupt()], ids=repr)
def test_what_lasts_is_not_tried_again(error: BaseException) -> None:
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        raise error

    with pytest.raises(type(error)):
        persistently(fail, 5, 1.0, lambda _: None)
    assert len(tries) == 1
    assert not may_pass(error)


@given(
    st.lists(st.one_of(st.just(0.0), st.floats(0, 1e6)), max_size=9),
    st.floats(0.0, 20.0),
)
def test_waits_double_and_are_at_least_what_is_asked(asked: list[float], first: float) -> None:
    waits: list[float] = []
    left = [PassingError("is busy", seconds) for seconds in asked]

    def once() -> str:
        if left:
            raise left.pop(0)
        return "done"

    assert persistently(once, len(asked) + 1, first, waits.append) == "done"
    assert len(waits) == len(asked)
    for number, (wait, wish) in enumerate(zip(waits, asked, strict=True)):
        doubled = min(first * 2**number, LONGEST_WAIT)
        assert min(max(doubled, wish), LONGEST_WAIT) <= wait <= LONGEST_WAIT
        assert wait <= max(doubled + min(first, 1.0), wish)


def test_statuses_are_of_overload_and_faults_of_servers() -> None:
    assert {429, 503} < PASSING_STATUS
    assert PASSING_STATUS.isdisjoint({400, 401, 403, 404, 410, 501})
