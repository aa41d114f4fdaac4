"""The command line: exit codes, sentences, plain output."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zarr
from helpers.faults import FAST, GOOD, OTHER, copy, event_lists, set_keys
from typer.main import get_command
from typer.testing import CliRunner

import exod
from exod.archive import open_archive
from exod.cli import app
from exod.errors import ConfigError, ExodError

EXOD = Path(sys.executable).parent / "exod"
COMMANDS = sorted(get_command(app).commands)  # type: ignore[attr-defined]
ESCAPE = "\x1b"


@pytest.fixture(scope="module")
def archive(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One observation OK, one SKIPPED, one FAILED; not to be changed."""
    folder = tmp_path_factory.mktemp("mixed")
    skipped, failed = (copy(small / OTHER, folder / name) for name in ("skipped", "failed"))
    for path in event_lists(skipped):
        set_keys(path, DATAMODE="TIMING")
    for path in failed.iterdir():
        path.rename(path.with_name(path.name.replace(OTHER, "0900000301")))
    event_lists(failed)[0].write_bytes(b"")
    paths = [str(path) for path in (small / GOOD, skipped, failed)]
    result = CliRunner().invoke(app, ["detect", *paths, "--archive", str(folder / "a"), *FAST])
    assert result.exit_code == 1
    return folder / "a"


def test_the_real_thing(small: Path, tmp_path: Path) -> None:
    """The installed command, from outside."""
    bad = copy(small / GOOD, tmp_path)
    path = event_lists(bad)[0]
    path.write_bytes(path.read_bytes()[:5000])
    done = subprocess.run(
        [EXOD, "detect", bad, small / OTHER, "--archive", tmp_path / "archive", *FAST],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert re.match(rf"exod: {GOOD} failed: {path.name} cannot be read \(.*\); .*\.\n", done.stderr)
    assert ESCAPE not in done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 9
    assert lines[0].startswith(f"[1/2] {GOOD} FAILED: ")
    assert re.match(rf"\[2/2\] {OTHER} OK: \d+ regions in 1 run, [\d.]+ s\.", lines[1])
    assert lines[2].split() == ["Status", "Observations", "Before", "Runs", "Regions", "Events"]
    assert [line.split()[:4] for line in lines[3:5]] == [
        ["OK", "1", "0", "1"],
        ["FAILED", "1", "0", "0"],
    ]
    assert lines[5].startswith("2 observations: 1 OK, 1 FAILED; ")
    assert re.fullmatch(r"Of the exposure time [\d.]+ % was searched\.", lines[6])
    assert re.match(r"Searched 2 observations, [\d,]+ events, in [\d.]+ s: [\d,]+ an h", lines[7])
    assert lines[8].startswith(f"Archive: {tmp_path / 'archive'} ")


def test_help_and_version(command: Any) -> None:
    code, out, _ = command("--help")
    assert code == 0
    for name in COMMANDS:
        assert name in out
    assert command("--version")[:2] == (0, f"{exod.__version__}\n")


def test_help_loads_no_library_of_the_search() -> None:
    """All commands are imported for it, and it is read at a glance."""
    code = "import sys; from exod.cli import app; app(standalone_mode=False); print(*sys.modules)"
    command = [sys.executable, "-c", code, "--help"]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    loaded = set(run.stdout.splitlines()[-1].split())
    assert "exod.cli.commands.search" in loaded
    heavy = {"astropy", "dask", "duckdb", "numpy", "pandas", "pyarrow", "pydantic", "scipy"}
    assert not loaded & heavy


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example(name: str, command: Any) -> None:
    code, out, err = command(name, "--help")
    assert (code, err) == (0, "")
    assert "Example: " in out
    assert f"exod {name}" in out.split("Example: ")[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_parse(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    every = get_command(app).commands  # type: ignore[attr-defined]
    example = re.search(r"Example: `exod (.*?)`", every[name].help, re.DOTALL)
    assert example is not None
    _, *arguments = shlex.split(example[1])
    every[name].make_context(name, arguments)


WRONG = {
    "no command": ([], "Usage"),
    "unknown command": (["frob"], "No such command 'frob'"),
    "unknown option": (["detect", "{data}", "--archive", "{root}", "--foo"], "No such option"),
    "no archive": (["detect", "{data}"], "--archive"),
    "no path": (["detect", "--archive", "{root}"], "No observation is given"),
    "path": (["detect", "{data}/nothing", "--archive", "{root}"], "There is no file or folder"),
    "bin": (["detect", "{data}", "--archive", "{root}", "--t-bin", "5,x"], "--t-bin takes numbers"),
    "bin 0": (["detect", "{data}", "--archive", "{root}", "--t-bin", "0"], "greater than 0"),
    "band": (["detect", "{data}", "--archive", "{root}", "--band", "2"], "bands"),
    "band order": (["detect", "{data}", "--archive", "{root}", "--band", "12-2"], "must ascend"),
    "sigma": (["detect", "{data}", "--archive", "{root}", "--sigma", "30"], "detect.sigma"),
    "sigma text": (["detect", "{data}", "--archive", "{root}", "--sigma", "x"], "--sigma"),
    "set": (["detect", "{data}", "--archive", "{root}", "--set", "x"], "table.key=value"),
    "set key": (["detect", "{data}", "--archive", "{root}", "--set", "cube.x=1"], "unknown"),
    "config": (["detect", "{data}", "--archive", "{root}", "--config", "no.toml"], "no.toml"),
    "scheduler": (["detect", "{data}", "--archive", "{root}", "--scheduler", "x"], "use sync"),
    "workers": (["detect", "{data}", "--archive", "{root}", "--workers", "0"], "--workers"),
    "hot pixels": (
        ["detect", "{data}", "--archive", "{root}", "--set", "selection.hot_pixels=no.csv"],
        "hot pixel table",
    ),
    "two cubes": (["cube", "{data}", "--to", "{root}"], "takes one observation, not 2"),
    "cube over data": (["cube", "{data}/" + GOOD, "--to", "{data}"], "is not a Zarr group"),
    "empty archive": (["detect", "{data}", "--archive", ""], "--archive is empty"),
    "empty archive, joined": (["detect", "{data}", "--archive="], "--archive is empty"),
    "empty path": (["detect", "", "--archive", "{root}"], "An argument is empty"),
    "empty root": (["status", ""], "An argument is empty"),
    "empty folder": (["simulate", "", "--overwrite"], "An argument is empty"),
    "empty target": (["query", "{root}", "--to", " "], "--to is empty"),
    "long path": (["detect", "x" * 300, "--archive", "{root}"], "its name is too long"),
    "camera": (["simulate", "{root}", "--cameras", "RGS"], "Unknown camera"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_usage(case: str, small: Path, tmp_path: Path, command: Any) -> None:
    arguments, sentence = WRONG[case]
    root = tmp_path / "root"
    code, out, err = command(*(text.format(data=small, root=root) for text in arguments))
    assert code == 2
    assert sentence in out + err
    assert not root.exists()


@pytest.mark.parametrize(
    "arguments",
    [["--help"], pytest.param(["status", "{archive}", "--all"], marks=pytest.mark.drill)],
)
def test_output_that_cannot_be_written(arguments: list[str], archive: Path) -> None:
    """A full disk is one sentence; a reader that has enough is no fault; no output is none."""
    command = [EXOD, *(text.format(archive=archive) for text in arguments)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "exod: the output cannot be written: No space left on device.\n"
    for closed in (">&-", "2>&- >/dev/null"):
        shell = f"{shlex.join(map(str, command))} {closed}"
        done = subprocess.run(shell, shell=True, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_reader_that_has_enough(archive: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write, "w") as nobody:
        command = [EXOD, "status", archive, "--all"]
        done = subprocess.run(
            command, stdout=nobody, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


def test_an_empty_archive_is_no_place() -> None:
    with pytest.raises(ConfigError, match="The archive has an empty name"):
        open_archive("")


def test_errors_come_through_other_callers_too(tmp_path: Path) -> None:
    """A test or a notebook that calls the application gets the same exit codes."""
    missing = str(tmp_path / "nothing")
    assert CliRunner().invoke(app, ["status", missing]).exit_code == 1
    assert CliRunner().invoke(app, ["detect", missing, "--archive", missing]).exit_code == 2


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [EXOD, "status", "nothing", "--debug"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert "There is no archive at" in done.stderr
    assert isinstance(CliRunner().invoke(app, ["--debug", "status", "x"]).exception, ExodError)


def test_defect_is_a_sentence(
    command: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError("never to happen")

    monkeypatch.setattr("exod.archive.open_archive", fail)
    code, _, err = command("status", tmp_path)
    assert code == 1
    assert err.startswith("exod: unexpected ZeroDivisionError: never to happen; please report")


def test_unwritable_archive(small: Path, tmp_path: Path, command: Any) -> None:
    (tmp_path / "file").touch()
    code, _, err = command("detect", small, "--archive", tmp_path / "file" / "a", *FAST)
    assert code == 1
    assert re.fullmatch(r"exod: The archive .* cannot be made: Not a directory\.\n", err)
    code, _, err = command("detect", small, "--archive", "gopher://x/y", *FAST)
    assert code == 1
    assert "cannot be used as an archive" in err


def test_archive_of_other_settings(
    archive: Path, small: Path, command: Any, tmp_path: Path
) -> None:
    code, _, err = command("detect", small, "--archive", archive, *FAST, "--sigma", "5")
    assert code == 1
    assert "detect.sigma: archive has 3, asked for 5" in err
    other = tmp_path / "archive"
    other.mkdir()
    marker = json.loads((archive / "archive.json").read_text())
    (other / "archive.json").write_text(json.dumps({**marker, "format_version": 99}))
    for arguments in (("detect", small, "--archive", other, *FAST), ("status", other)):
        code, _, err = command(*arguments)
        assert code == 1
        assert "format 99" in err
        assert err.count("\n") == 1


def test_unreachable_scheduler(small: Path, tmp_path: Path, command: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr("exod.scheduler.cluster.CONNECT_SECONDS", 1)
    address = "tcp://127.0.0.1:1"
    code, _, err = command("detect", small, "--archive", tmp_path / "a", "--scheduler", address)
    assert code == 1
    assert "The scheduler tcp://127.0.0.1:1 cannot be reached" in err


def test_interruption(small: Path, tmp_path: Path, command: Any, monkeypatch: Any) -> None:
    """Also test_detect_stage, with a real one."""

    def interrupt(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("exod.stages.detect.observation.detect_observation", interrupt)
    code, _, err = command("detect", small, "--archive", tmp_path / "archive", *FAST)
    assert code == 130
    assert err == "exod: interrupted; what is done is kept, and the same command continues.\n"
    assert open_archive(tmp_path / "archive").status().empty


def test_same_command_again(archive: Path, small: Path, command: Any) -> None:
    code, out, err = command("detect", small / GOOD, "--archive", archive, *FAST)
    assert (code, err) == (0, "")
    assert "done before" in out
    assert "1 of them done before" in out


def test_observation_by_its_name(
    small: Path, archive: Path, command: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(small)
    code, out, _ = command("detect", GOOD, "--archive", archive, *FAST)
    assert code == 0
    assert GOOD in out


def test_status(archive: Path, command: Any, tmp_path: Path) -> None:
    code, out, err = command("status", archive)
    assert (code, err) == (0, "")
    assert ESCAPE not in out
    for name, count in (("OK", 1), ("EMPTY", 0), ("SKIPPED", 1), ("FAILED", 1)):
        assert re.search(rf"^\s*{name}\s+{count}\s*$", out, re.M)
    assert re.search(rf"^{OTHER}  SKIPPED .*TIMING mode", out, re.M)
    assert re.search(r"^0900000301  FAILED .*cannot be read", out, re.M)
    assert GOOD not in out
    assert GOOD in command("status", archive, "--all")[1]


def test_status_of_an_empty_archive(tmp_path: Path, command: Any) -> None:
    exod.Archive.create(tmp_path / "a", exod.Config())
    code, out, _ = command("status", tmp_path / "a")
    assert code == 0
    assert "0 runs, 0 regions, 0 cells" in out
    code, _, err = command("status", tmp_path)
    assert code == 1
    assert "There is no archive at" in err


def test_damaged_ledger_entry(small: Path, tmp_path: Path, command: Any) -> None:
    root = tmp_path / "archive"
    command("detect", small / GOOD, "--archive", root, *FAST)
    entry = root / "ledger" / f"{GOOD}.json"
    entry.write_text(entry.read_text()[:100])
    for name in ("status", "gc"):
        code, _, err = command(name, root)
        assert code == 1
        assert str(entry) in err
        assert "is damaged" in err
    code, out, _ = command("detect", small / GOOD, "--archive", root, *FAST)
    assert code == 0
    assert "done before" not in out
    assert command("status", root)[0] == 0


def test_gc(small: Path, tmp_path: Path, command: Any) -> None:
    root = tmp_path / "archive"
    for _ in range(2):
        command("detect", small / GOOD, "--archive", root, *FAST, "--force")
    files = len(list(root.rglob("*.parquet")))
    assert command("gc", root)[:2] == (0, "0 files removed.\n")
    assert command("gc", root, "--older-than", 0)[:2] == (0, f"{files // 2} files removed.\n")
    assert len(list(root.rglob("*.parquet"))) == files // 2
    assert not open_archive(root).regions.compute().empty


def test_cube(small: Path, tmp_path: Path, command: Any) -> None:
    to = tmp_path / "cube.zarr"
    code, out, err = command("cube", small / GOOD, "--to", to, "--t-bin", "200")
    assert (code, err) == (0, "")
    assert out == f"{GOOD}_0_200_0.2_12.0 written to {to}\n"
    assert zarr.open_group(to, mode="r")["n"].ndim == 3
    assert zarr.open_group(to, mode="r")["n"].shape[0] < 20
    for options, run in (
        (["--preset", "deep"], "50_0.2_12.0"),
        (["--preset", "deep", "--t-bin", "6", "--band", "0.2-2"], "6_0.2_2.0"),
        (["--set", "cube.t_bin=[200]", "--set", "cube.bands=[[2, 12]]"], "200_2.0_12.0"),
    ):
        code, out, err = command("cube", small / GOOD, "--to", to, *options)
        assert (code, err) == (0, "")
        assert out == f"{GOOD}_0_{run} written to {to}\n"
        assert zarr.open_group(to, mode="r").attrs["runid"] == f"{GOOD}_0_{run}"
    for options in (
        ["--t-bin", "5,50,200"],
        ["--band", "0.2-2,2-12"],
        ["--set", "cube.t_bin=[5, 50]"],
        ["--preset", "deep", "--t-bin", "1,2.5"],
    ):
        code, _, err = command("cube", small / GOOD, "--to", to, *options)
        assert code == 2
        assert "A cube is of one run" in err
    code, _, err = command("cube", small / GOOD, "--to", to, "--subset", 4)
    assert code == 1
    assert "has no subset 4" in err


def test_simulate(tmp_path: Path, command: Any) -> None:
    names = ["--obsid", "0900000901", "--obsid", "0900000902"]
    small = ["--duration", 2000, "--cameras", "EMOS1", "--bursts", 0, "--eclipses", 0]
    code, out, err = command("simulate", tmp_path, *names, *small)
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 2
    assert len(list(tmp_path.glob("*/P*MIEVLI*"))) == 2
    kept = tmp_path / "0900000902" / "notes.txt"
    kept.write_text("mine")
    code, out, err = command("simulate", tmp_path, "--obsid", "0900000903", *names, *small)
    assert (code, out) == (2, "")
    assert err == (
        f"exod: {tmp_path / '0900000901'} is there already; give another folder or obsid, or "
        f"--overwrite.\n"
    )
    assert kept.exists()
    assert not (tmp_path / "0900000903").exists()
    before = (tmp_path / "0900000901" / "0900000901_truth.csv").read_bytes()
    code, _, err = command("simulate", tmp_path, *names, *small, "--seed", 7, "--overwrite")
    assert (code, err) == (0, "")
    assert not kept.exists()
    assert (tmp_path / "0900000901" / "0900000901_truth.csv").read_bytes() != before
    code, _, err = command("simulate", tmp_path, "--obsid", "12", *small)
    assert code in {1, 2}
    assert "of XMM-Newton; it must be ten digits" in err
    assert not (tmp_path / "12").exists()


def test_names_that_no_terminal_can_show(small: Path, tmp_path: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff[red]"))
    folder = copy(small / GOOD, odd)
    (folder / event_lists(folder)[0].name).write_bytes(b"")
    (odd / "empty").mkdir()
    done = subprocess.run(
        [EXOD, "detect", odd, odd / "empty", "--archive", odd / "archive", *FAST],
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 1
    assert b"Traceback" not in done.stderr
    assert b"[red]" in done.stderr
    assert b"cannot be read" in done.stderr
