"""Three ways to write files that are whole, and reading what they wrote.

Other processes import this, so it imports little.
"""

from __future__ import annotations

from pathlib import Path

from exod.files.whole import whole_file, whole_folder, write_whole

NAMES = ("one.fits", "inside/two.fits")


def write_file(path: Path, content: str) -> None:
    write_whole(path, content)


def write_pieces(path: Path, content: str) -> None:
    with whole_file(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        for letter in content:
            file.write(letter)


def write_folder(path: Path, content: str) -> None:
    with whole_folder(path) as temporary:
        for name in NAMES:
            (temporary / name).parent.mkdir(exist_ok=True)
            (temporary / name).write_text(content, encoding="utf-8")


def read(path: Path) -> str | None:
    """What is there; an error if it is not all of one content."""
    if not path.is_dir():
        return path.read_text(encoding="utf-8") if path.exists() else None
    (content,) = {(path / name).read_text(encoding="utf-8") for name in NAMES}
    return content
