"""The science knows nothing of files, schedulers, tables on disk, plots or the environment."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import exod

PACKAGE = Path(exod.__file__).parent

SCIENCE = (
    "counts.bayes",
    "search.blocks",
    "search.bursts",
    "catalogue.division",
    "catalogue.rows",
    "counterparts.chance",
    "search.clocks",
    "sources.clustering",
    "completeness.campaign",
    "completeness.fields",
    "completeness.matching",
    "completeness.curves",
    "sensitivity.cellneeds",
    "completeness.photons",
    "completeness.probability",
    "sensitivity.profiles",
    "completeness.virtual",
    "completeness.virtualwindows",
    "sensitivity.windowneeds",
    "counts.shares",
    "counterparts.matching",
    "counts.cube",
    "vetting.episodes",
    "observation.events",
    "counts.template",
    "sensitivity.cellalarms",
    "vetting.filterkinds",
    "vetting.filters",
    "vetting.flags",
    "vetting.features",
    "sources.footprints",
    "observation.gti",
    "vetting.hotregions",
    "vetting.hardness",
    "observation.hotpixels",
    "sources.identities",
    "instruments.cameras",
    "vetting.kolmogorov",
    "search.lightcurves",
    "sources.naming",
    "sensitivity.overlaps",
    "search.positions",
    "instruments.king",
    "sources.recovery",
    "queries.evaluation",
    "queries.expressions",
    "queries.grammar",
    "queries.query",
    "search.regions",
    "report.consistency",
    "report.counterparts",
    "report.statistics",
    "search.runs",
    "search.subset",
    "sky.plane",
    "sky.healpix",
    "search.sliding",
    "sky.sphere",
    "observation.subsets",
    "completeness.exod1",
    "sensitivity.windowalarms",
    "vetting.artefacts",
    "counts.weights",
    "sensitivity.weightedalarms",
    "counts.windows",
    "search.windowsearch",
    "simulate.camera.availability",
    "simulate.background",
    "simulate.camera.detector",
    "simulate.lights.eruptions",
    "simulate.injection.inject",
    "simulate.lights.lightmodels",
    "simulate.lights.lighttext",
    "simulate.models",
    "simulate.observation",
    "simulate.photons",
    "simulate.camera.pileup",
    "instruments.pointspread",
    "simulate.camera.readout",
    "simulate.injection.requests",
    "simulate.scenario",
    "simulate.camera.spectra",
    "simulate.injection.strength",
    "simulate.lights.tabulated",
    "simulate.injection.targets",
    "simulate.truth",
    "simulate.camera.vignetting",
    "simulate.weather",
)
"""Modules that take arrays and settings and return arrays."""

IO = ("astropy.io", "dask", "distributed", "fsspec", "matplotlib", "bokeh", "pyarrow", "zarr")
ENVIRONMENT = ("glob", "logging", "os", "shutil", "subprocess", "tempfile", "rich", "typer")
OUTSIDE = (
    "archive",
    "cli",
    "plots",
    "pps",
    "search.rows",
    "scheduler",
    "stages",
)
READS = {"open", "print", "input", "read_csv", "read_parquet", "to_csv", "to_parquet", "to_pickle"}


def path_of(name: str) -> Path:
    return PACKAGE / f"{name.replace('.', '/')}.py"


def tree_of(name: str) -> ast.Module:
    return ast.parse(path_of(name).read_text(encoding="utf-8"))


def imports_of(tree: ast.Module) -> set[str]:
    """Everything imported when the module is: not inside functions, not for type checkers."""
    names: set[str] = set()
    pending = list(tree.body)
    while pending:
        node = pending.pop()
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {str(node.module)}
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            pending += node.orelse
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            pending += [n for n in ast.iter_child_nodes(node) if isinstance(n, ast.stmt)]
    return names


def is_within(name: str, packages: tuple[str, ...]) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def test_science_modules_exist():
    assert all(path_of(name).is_file() for name in SCIENCE)


@pytest.mark.parametrize("name", SCIENCE)
def test_direct_imports(name):
    found = imports_of(tree_of(name))
    assert not {n for n in found if is_within(n, IO + ENVIRONMENT)}
    assert not {n for n in found if is_within(n, tuple(f"exod.{o}" for o in OUTSIDE))}


@pytest.mark.parametrize("name", SCIENCE)
def test_calls(name):
    """No reading, writing or printing, by name."""
    called = set()
    for node in ast.walk(tree_of(name)):
        if isinstance(node, ast.Call):
            function = node.func
            called.add(
                function.attr if isinstance(function, ast.Attribute) else ast.unparse(function)
            )
    assert not called & READS


@pytest.mark.parametrize("name", SCIENCE)
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


def test_indirect_imports():
    """Importing the science alone loads no plotting, no scheduler and none of our own I/O.

    astropy.io comes with astropy.wcs itself, so that it is not asked for here.
    """
    forbidden = ("distributed", "matplotlib", "bokeh", "zarr", "fsspec", "typer", "rich", "dask")
    forbidden += tuple(f"exod.{name}" for name in OUTSIDE)
    code = f"""
import importlib, sys
for name in {SCIENCE!r}:
    importlib.import_module("exod." + name)
forbidden = {forbidden!r}
loaded = [m for m in sys.modules if any(m == f or m.startswith(f + ".") for f in forbidden)]
print(*sorted(loaded))
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []


def test_importing_writes_nothing_and_asks_nothing(tmp_path):
    """No folder is made, no variable is needed: an empty environment and folder will do."""
    code = "import importlib\n" + "\n".join(f"importlib.import_module('exod.{n}')" for n in SCIENCE)
    environment = {"PYTHONDONTWRITEBYTECODE": "1", "HOME": str(tmp_path)}
    subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True, capture_output=True
    )
    assert list(tmp_path.rglob("*")) == []


@pytest.mark.parametrize(
    ("library", "home"), [("matplotlib", "plots"), ("distributed", "scheduler")]
)
def test_libraries_with_one_home(library, home):
    """Only plots draw, only the scheduler talks to a cluster; not even inside functions."""
    for path in PACKAGE.rglob("*.py"):
        if path.relative_to(PACKAGE).parts[0] == home:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not any(is_within(alias.name, (library,)) for alias in node.names), path
            elif isinstance(node, ast.ImportFrom):
                assert not is_within(node.module or "", (library,)), path


def test_modules_named_above_exist():
    """A renamed module must not drop out of these tests."""
    for name in OUTSIDE:
        assert path_of(name).is_file() or (PACKAGE / name).is_dir(), name
