"""Scripts that start processes: each of these runs the script again, up to its guard."""

from __future__ import annotations

import ast
import multiprocessing
import sys
from pathlib import Path
from types import FrameType

from exod.errors import ConfigError


def check_guard() -> None:
    """Refuse to start processes for a script that each of them would run again.

    A process that is started anew imports the script that is running. What stands in it outside of
    ``if __name__ == "__main__":`` is done once more there, and would start processes as well.

    Raises
    ------
    ConfigError
        If the script asks for them outside of such a guard.
    """
    main = sys.modules.get("__main__")
    path = getattr(main, "__file__", None)
    if path is None:
        # A notebook or an interpreter, of which nothing is run again.
        return
    if getattr(getattr(main, "__spec__", None), "name", "").endswith(".__main__"):
        # What ``python -m package`` runs is not run again (multiprocessing.spawn).
        return
    frame = _frame_of(vars(main))
    is_child = getattr(multiprocessing.current_process(), "_inheriting", False)
    if is_child or (frame is not None and not is_guarded(Path(path), frame.f_lineno)):
        raise ConfigError(
            f"{path} starts processes, and each of them would run it again; put what it does under "
            f'`if __name__ == "__main__":`, or search with Plan("sync").'
        )


def _frame_of(names: dict[str, object]) -> FrameType | None:
    """The frame that runs the statements of a module, if this thread is within it."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_globals is names and frame.f_code.co_name == "<module>":
            return frame
        frame = frame.f_back
    return None


def is_guarded(path: Path, line: int) -> bool:
    """Whether a line of a script stands under a condition on ``__name__``.

    Also True if that cannot be told.
    """
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return True
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and node.body[0].lineno <= line <= (node.end_lineno or 0):
            names = {item.id for item in ast.walk(node.test) if isinstance(item, ast.Name)}
            if "__name__" in names:
                return True
    return False
