"""The code of others for the explorer's pages: brought whole, checked, never committed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def vendor(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The build hook with an npm that makes files of its own instead of fetching them."""
    spec = importlib.util.spec_from_file_location("vendor", ROOT / "deploy" / "web" / "vendor.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def npm(arguments: list[str], folder: str) -> None:
        assert arguments[0] == "ci"
        assert "--ignore-scripts" in arguments
        assert {path.name for path in Path(folder).iterdir()} == {
            "package.json",
            "package-lock.json",
        }
        for package, patterns in module.FILES.items():
            for pattern in patterns:
                path = Path(folder, "node_modules", package, pattern.replace("*", "index"))
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(f"{package} {path.name}")

    monkeypatch.setattr(module, "_npm", npm)
    return module


def test_a_changed_or_missing_file_is_brought_anew(vendor: ModuleType, tmp_path: Path) -> None:
    folder = tmp_path / "vendor"
    assert not vendor.is_whole(folder)
    vendor.bring(folder)
    assert vendor.is_whole(folder)
    for damage in (
        lambda: (folder / "uplot" / "LICENSE").write_text("changed"),
        (folder / "hyparquet" / "index.js").unlink,
        (folder / vendor.SUMS).unlink,
        lambda: (folder / vendor.SUMS).write_text("{"),
        lambda: (folder / vendor.SUMS).write_text('{"package-lock.json": "of another lock"}'),
    ):
        damage()
        assert not vendor.is_whole(folder)
        vendor.bring(folder)
        assert vendor.is_whole(folder)


def test_files_that_are_not_wanted_any_more_go(vendor: ModuleType, tmp_path: Path) -> None:
    old = tmp_path / "vendor" / "old" / "index.js"
    old.parent.mkdir(parents=True)
    old.write_text("old")
    vendor.bring(tmp_path / "vendor")
    assert not old.exists()


def test_all_that_is_brought_has_its_licence_and_is_pinned_by_checksums(
    vendor: ModuleType,
) -> None:
    lock = json.loads((ROOT / "deploy" / "web" / "package-lock.json").read_text())["packages"]
    for package, patterns in vendor.FILES.items():
        assert any("LICENSE" in pattern for pattern in patterns)
        assert lock[f"node_modules/{package}"]["integrity"].startswith("sha512-")


def test_nothing_of_it_is_committed() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("this is no checkout of git")
    listed = subprocess.run(
        ["git", "ls-files", "exod/web/static"], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert "vendor" not in listed.stdout
    assert "index.html" in listed.stdout
