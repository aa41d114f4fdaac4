"""The floor plan: rooms are small, and science knows nothing of files, tasks, plots, environment.

Who may import whom stands in the contracts of import-linter in ``pyproject.toml``.
"""

import ast
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

import exod

PACKAGE = Path(exod.__file__).parent
ROOT = PACKAGE.parent

SCIENCE = (
    "astrometry",
    "completeness",
    "counts",
    "instruments",
    "observation",
    "search",
    "sensitivity",
    "simulate",
    "sky",
    "sources",
)
"""Packages that take arrays or frames and settings and return arrays or frames."""

READS = {"open", "print", "input", "read_csv", "read_parquet", "to_csv", "to_parquet", "to_pickle"}
TOP_ENTRIES, ENTRIES = 25, 15
VAGUE = {
    "all",
    "any",
    "at",
    "by",
    "each",
    "for",
    "from",
    "in",
    "of",
    "on",
    "one",
    "some",
    "to",
    "with",
}


def modules() -> list[str]:
    """Every science module, as ``counts.cube``."""
    paths = (path for room in SCIENCE for path in (PACKAGE / room).rglob("*.py"))
    dotted = (".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in paths)
    return sorted(name.removesuffix(".__init__") for name in dotted)


def tree_of(name: str) -> ast.Module:
    path = PACKAGE / name.replace(".", "/")
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(path.read_text(encoding="utf-8"))


def entries(folder: Path) -> list[str]:
    """What a reader sees in a package, apart from what Python asks for and has left behind."""
    return [
        path.name
        for path in folder.iterdir()
        if not path.name.startswith("__")
        and (path.is_file() or any(inside.name != "__pycache__" for inside in path.iterdir()))
    ]


def packages() -> Iterator[Path]:
    return (path.parent for path in PACKAGE.rglob("__init__.py"))


def test_contracts():
    """The contracts of import-linter hold: the direction of arrows among rooms."""
    program = Path(sys.executable).parent / "lint-imports"
    run = subprocess.run(
        [program, "--no-cache"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    assert " 0 broken" in run.stdout


def test_rooms_are_small():
    assert len(entries(PACKAGE)) <= TOP_ENTRIES
    crowded = {
        str(folder.relative_to(ROOT)): len(entries(folder))
        for folder in packages()
        if folder != PACKAGE and len(entries(folder)) > ENTRIES
    }
    assert crowded == {}


def test_every_room_says_what_it_is_for():
    for folder in packages():
        assert ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8")))


def test_no_name_twice_among_the_sciences():
    leaves = Counter(name.rpartition(".")[2] for name in modules() if "." in name)
    assert {name for name, times in leaves.items() if times > 1} == set()


def test_tests_mirror_the_packages():
    """A folder of tests is a room of the package; ``project`` and ``fuzz`` are of the whole."""
    folders = {path.name for path in (ROOT / "tests").iterdir() if any(path.glob("*.py"))}
    rooms = {path.name for path in packages() if path.parent == PACKAGE}
    assert folders - rooms <= {"fuzz", "helpers", "project"}
    assert [path.name for path in (ROOT / "tests").glob("*.py")] == ["conftest.py"]


@pytest.mark.parametrize("name", modules())
def test_science_reads_and_writes_nothing(name):
    """By name of what is called; import-linter does not see into astropy, pandas and builtins."""
    called = set()
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.Call):
            function = node.func
            called.add(
                function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)
            )
        elif isinstance(node, ast.ImportFrom):
            assert not (node.module or "").startswith("astropy.io")
        elif isinstance(node, ast.Import):
            assert not any(alias.name.startswith("astropy.io") for alias in node.names)
    assert not called & READS


@pytest.mark.parametrize("name", modules())
def test_no_mutable_state(name):
    """Module level names are constants, types and functions: no ``global``, no empty containers."""
    tree = tree_of(name)
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Global)]
    for node in tree.body:
        value = getattr(node, "value", None)
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(value, ast.List | ast.Set):
            assert value.elts, f"line {node.lineno}"
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(value, ast.Dict):
            assert value.keys, f"line {node.lineno}"


def loaded_with(names: list[str]) -> set[str]:
    """Modules that are loaded once these are imported, in a process of their own."""
    code = (
        f"import importlib, sys\nfor name in {names!r}:\n"
        "    importlib.import_module('exod.' + name)\nprint(*sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(run.stdout.split())


def test_science_alone_loads_no_machinery():
    heavy = ("distributed", "matplotlib", "bokeh", "zarr", "fsspec", "typer", "rich", "dask")
    assert {name for name in loaded_with(modules()) if name.partition(".")[0] in heavy} == set()


def test_the_search_does_not_load_the_simulator():
    loaded = loaded_with([name for name in modules() if name.startswith("search.")])
    assert {name for name in loaded if name.startswith("exod.simulate")} == set()


def test_importing_writes_nothing_and_asks_nothing(tmp_path):
    """No folder is made, no variable is needed: an empty environment and folder will do."""
    code = "import importlib\n" + "\n".join(
        f"importlib.import_module('exod.{name}')" for name in modules()
    )
    environment = {
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(tmp_path),
        "PYTHONPATH": str(ROOT),
    }
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True
    )
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize("change", ["", "from exod.archive import ledger  # noqa\n"])
def test_a_broken_contract_is_noticed(tmp_path, change):
    """The contracts are read as meant: science that imports the archive breaks one."""
    for path in PACKAGE.rglob("*.py"):
        target = tmp_path / path.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    with (tmp_path / "exod" / "sky" / "sphere.py").open("a", encoding="utf-8") as file:
        file.write(change)
    run = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == (1 if change else 0), run.stdout


def test_durable_names_have_one_home():
    """Only `exod.files` flushes, renames and makes unique names; tasks have such names too."""
    forbidden = {"fsync", "fdatasync", "link", "hardlink_to", "symlink_to", "renames", "getpid"}
    forbidden |= {"mkstemp", "mkdtemp", "NamedTemporaryFile"}
    homes = {
        PACKAGE / "files/whole.py",
        PACKAGE / "archive/store.py",
        PACKAGE / "scheduler/tasks.py",
    }
    for path in set(PACKAGE.rglob("*.py")) - homes:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            where = f"{path}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Import):
                assert {alias.name for alias in node.names}.isdisjoint({"uuid", "secrets"}), where
            elif isinstance(node, ast.ImportFrom):
                assert node.module not in ("uuid", "secrets"), where
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name = node.func.attr
                assert name not in forbidden, where
                # Text and tables have methods of these names, with other arguments.
                if name in ("rename", "replace"):
                    assert len(node.args) != 1 or node.keywords, where


def test_names_say_what_things_are():
    """No two public or private classes share a name; no function is called by a preposition."""
    classes: Counter[str] = Counter()
    vague = []
    for path in PACKAGE.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        methods = {
            id(part)
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef)
            for part in node.body
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                classes[node.name.lstrip("_")] += 1
            elif isinstance(node, ast.FunctionDef) and id(node) not in methods:
                vague += [f"{path.name}: {node.name}"] if node.name.lstrip("_") in VAGUE else []
    assert {name for name, times in classes.items() if times > 1} == set()
    assert vague == []
