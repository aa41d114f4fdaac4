"""One writer at a time: a lock among processes of a machine, gone with the process that has it."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from exod.errors import ExodError


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock that belongs to a file or folder, waiting for whoever has it.

    The lock is a file of the same name with ``.lock`` at its end, beside it. It stays: a lock
    that is removed could be held twice. The system frees it when its process ends, killed or not.

    Parameters
    ----------
    path : Path
        The file or folder; it need not exist, its folder must.

    Raises
    ------
    ExodError
        If there cannot be a lock.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder, locked(Path(folder, "table.h5")):
    ...     sorted(path.name for path in Path(folder).iterdir())
    ['table.h5.lock']
    """
    lock = path.with_name(path.name + ".lock")
    try:
        handle = lock.open("ab")
    except OSError as error:
        raise ExodError(
            f"{path} cannot be written, since {lock.name} cannot be made beside it "
            f"({error.strerror}); write to a folder where that is allowed."
        ) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
