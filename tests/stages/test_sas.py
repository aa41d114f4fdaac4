"""The SAS route with stand-in programs on PATH that record how they are called."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.table import Table
from helpers.faults import GOOD

from exod.config import Config
from exod.errors import ConfigError, InputError
from exod.pps import find_observations, read_event_list
from exod.stages.inputs.sas import SasSettings, check_sas, prepare, selection

EVENTS = """
arguments = dict(word.split("=", 1) for word in sys.argv[1:])
if "filteredset" in arguments:
    with open(arguments["table"], "rb") as source:
        content = source.read()
    if content[:2] == bytes([31, 139]):
        content = gzip.decompress(content)
    with open(arguments["filteredset"], "wb") as sink:
        sink.write(content[: len(content) // CUT])
elif "rateset" in arguments:
    shutil.copy(HERE / "rate.fits", arguments["rateset"])
"""
TIMES = """
arguments = dict(word.split("=", 1) for word in sys.argv[1:])
shutil.copy(HERE / "gti.fits", arguments["gtiset"])
"""
FLARES = """
shutil.copy(HERE / "gti.fits", "mos1S001-gti.fits")
shutil.copy(HERE / "rate.fits", "mos1S001-fovlc.fits")
shutil.copy(sys.argv[1].partition("=")[2], "mos1S001-allevc.fits")
"""


@pytest.fixture(scope="session")
def one(small) -> Path:
    """The folder of one observation; not to be changed."""
    return small / GOOD


@pytest.fixture
def program(tmp_path) -> Callable[..., None]:
    """Puts a stand-in on PATH, a script of Python that first records its arguments."""
    tools = tmp_path / "tools"
    tools.mkdir()
    Table({"TIME": np.arange(3.0), "RATE": [0.1, 0.2, 0.9]}).write(tools / "rate.fits")
    Table({"START": [0.0], "STOP": [2.0]}).write(tools / "gti.fits")

    def make(name: str, body: str) -> None:
        path = tools / name
        head = (
            f"#!{sys.executable}\nimport gzip, json, os, shutil, sys\nfrom pathlib import Path\n"
            f"HERE, CUT = Path({str(tools)!r}), 1\n"
            "with open(HERE / 'calls', 'a') as calls:\n"
            "    calls.write(json.dumps([Path(sys.argv[0]).name, *sys.argv[1:]]) + '\\n')\n"
        )
        path.write_text(head + body)
        path.chmod(0o755)

    for name, body in (("evselect", EVENTS), ("tabgtigen", TIMES), ("espfilt", FLARES)):
        make(name, body)
    return make


@pytest.fixture
def settings(tmp_path, program) -> Callable[..., SasSettings]:
    environment = {**os.environ, "SAS_DIR": "/sas", "PATH": f"{tmp_path / 'tools'}"}

    def make(**options: Any) -> SasSettings:
        return SasSettings(**{"environment": environment, "timeout": 600.0} | options)

    return make


def calls(tmp_path) -> list[list[str]]:
    path = tmp_path / "tools" / "calls"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def left_behind(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*")) if folder.exists() else []


def test_programs_are_called_as_the_method_says(one, tmp_path, settings):
    said: list[str] = []
    (done,) = prepare(one, tmp_path / "to", settings(say=said.append))
    (files,), _ = find_observations([one])
    assert done.obsid == files.obsid
    assert [path.name.split(".")[0] for path in done.event_lists] == [
        path.name.split(".")[0] for path in files.event_lists
    ]
    expected = []
    for path in files.event_lists:
        exposure, _ = read_event_list(path)
        stem = path.name.split(".")[0]
        flags, pattern = ("EP", 4) if exposure.instrument == "EPN" else ("EM", 12)
        expected += [
            [
                *("evselect", f"table={path.name}", "withfilteredset=yes"),
                *(f"filteredset={stem}.fits", "destruct=yes", "keepfilteroutput=yes"),
                f"expression=#XMMEA_{flags}&&(PATTERN<={pattern})&&(PI in [200:12000])",
            ],
            [
                *("evselect", f"table={stem}.fits", "withrateset=yes"),
                *(f"rateset=rate_{stem}.fits", "timebinsize=100", "maketimecolumn=yes"),
                *("makeratecolumn=yes", "expression=(PI>10000)&&(PI<12000)"),
            ],
            [
                *("tabgtigen", f"table=rate_{stem}.fits", f"gtiset=gti_{stem}.fits"),
                "expression=RATE<=0.5",
            ],
        ]
    assert calls(tmp_path) == expected
    assert len(said) == len(expected)
    found = {path.name for path in (done.folder / "sas").iterdir()}
    stems = [path.name.split(".")[0] for path in files.event_lists]
    assert found == {f"{kind}_{stem}.fits" for stem in stems for kind in ("rate", "gti")}


def test_what_is_prepared_can_be_searched_and_gives_the_same(one, tmp_path, settings):
    from exod import detect

    (done,) = prepare(one, tmp_path / "to", settings())
    config = Config.load(overrides=["cube.t_bin=[50]", "cube.bands=[[0.2,12.0]]"])
    (files,), problems = find_observations([done.folder])
    assert not problems
    assert not files.notes
    assert files.event_lists == done.event_lists
    assert len(files.source_lists) == len(find_observations([one])[0][0].source_lists)
    theirs, ours = detect(one, config), detect(done.folder, config)
    assert theirs["runs"]["n_sum"].tolist() == ours["runs"]["n_sum"].tolist()
    assert theirs["regions"]["detid"].tolist() == ours["regions"]["detid"].tolist()


def test_espfilt_sees_the_whole_list_and_its_files_are_kept(one, tmp_path, settings):
    (done,) = prepare(one, tmp_path / "to", settings(good_times="espfilt"))
    (files,), _ = find_observations([one])
    asked = [call for call in calls(tmp_path) if call[0] == "espfilt"]
    assert asked == [["espfilt", f"eventfile={path.name}"] for path in files.event_lists]
    names = {path.name for path in (done.folder / "sas").iterdir()}
    stems = [path.stem for path in done.event_lists]
    assert names == {
        *(f"rate_{stem}.fits" for stem in stems),
        *(f"gti_{stem}_mos1S001-gti.fits" for stem in stems),
    }
    assert find_observations([done.folder])[0][0].event_lists == done.event_lists


def test_without_good_times_evselect_is_enough(one, tmp_path, settings):
    for name in ("tabgtigen", "espfilt"):
        (tmp_path / "tools" / name).unlink()
    (done,) = prepare(one, tmp_path / "to", settings(good_times="none"))
    assert {call[0] for call in calls(tmp_path)} == {"evselect"}
    assert all("rate_" in path.name for path in (done.folder / "sas").iterdir())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"SAS_DIR": ""}, "SAS is not ready here: SAS_DIR is not set; install SAS"),
        ({"PATH": "/nowhere"}, "SAS is not ready here: evselect and tabgtigen cannot be found"),
    ],
)
def test_where_there_is_no_sas(one, tmp_path, settings, change, sentence):
    good = settings()
    bad = SasSettings(environment={**good.environment, **change})
    with pytest.raises(InputError, match=sentence) as error:
        list(prepare(one, tmp_path / "to", bad))
    assert "\n" not in str(error.value)
    assert not left_behind(tmp_path / "to")
    with pytest.raises(ConfigError, match="not from 'epproc'"):
        check_sas(settings(good_times="epproc"))


@pytest.mark.parametrize(
    ("name", "body", "sentence"),
    [
        ("evselect", "print('** evselect: error', file=sys.stderr); sys.exit(3)",
         r"evselect fails for .*FTZ \(exit code 3: \*\* evselect: error\)"),
        ("evselect", "os.kill(os.getpid(), 9)", r"evselect fails for .* \(signal 9\)"),
        ("evselect", "", "evselect wrote no P.*fits"),
        ("evselect", "CUT = 2\n" + EVENTS, "What evselect wrote cannot be used: "),
        ("evselect", EVENTS.replace('["rateset"]', '["table"]'), "evselect wrote no rate_"),
        ("evselect", EVENTS.replace("rate.fits", "gti.fits"), "lacks the columns TIME, RATE"),
        ("tabgtigen", "sys.exit(1)", r"tabgtigen fails for .* \(exit code 1\)"),
        ("tabgtigen", "", "tabgtigen wrote no gti_"),
        ("tabgtigen", TIMES + "os.truncate(arguments['gtiset'], 5000)",
         "What tabgtigen wrote cannot be used"),
        ("espfilt", "", "espfilt wrote no good times of P"),
    ],
)  # fmt: skip
def test_programs_that_fail_leave_nothing(one, tmp_path, settings, program, name, body, sentence):
    program(name, body)
    how = "espfilt" if name == "espfilt" else "tabgtigen"
    with pytest.raises(InputError, match=sentence) as error:
        list(prepare(one, tmp_path / "to", settings(good_times=how)))
    assert "\n" not in str(error.value)
    assert not left_behind(tmp_path / "to")


def test_a_program_that_hangs_is_stopped_with_what_it_started(
    one, tmp_path, settings, program, monkeypatch
):
    program("evselect", "import subprocess\n"
            "child = subprocess.Popen(['/bin/sleep', '1000'])\n"
            "(HERE / 'part').write_text(str(child.pid)); os.rename(HERE / 'part', HERE / 'child')\n"
            "child.wait()\n")  # fmt: skip
    started, wait = tmp_path / "tools" / "child", subprocess.Popen.wait
    grandchild: list[int] = []

    def wait_until_it_hangs(self: Any, timeout: float | None = None) -> int:
        if timeout != 7.0:
            return wait(self, timeout)
        while not started.exists():
            assert self.poll() is None
        grandchild.append(os.pidfd_open(int(started.read_text())))
        raise subprocess.TimeoutExpired(self.args, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", wait_until_it_hangs)
    with pytest.raises(InputError, match=r"evselect took longer than 7 s for .* and was stopped"):
        list(prepare(one, tmp_path / "to", settings(timeout=7.0)))
    # The kernel ends a killed process when it next runs: its descriptor is readable from then on.
    ended, _, _ = select.select(grandchild, [], [], 600)
    os.close(grandchild[0])
    assert ended == grandchild
    assert not left_behind(tmp_path / "to")


def test_a_real_timeout(one, tmp_path, settings, program):
    program("evselect", "import signal\nsignal.pause()\n")
    with pytest.raises(InputError, match=r"took longer than 0\.2 s"):
        list(prepare(one, tmp_path / "to", settings(timeout=0.2)))


def test_folders_that_are_there_are_kept(one, tmp_path, settings):
    (done,) = prepare(one, tmp_path / "to", settings())
    with pytest.raises(ConfigError, match="exists; give another folder, or --replace"):
        list(prepare(one, tmp_path / "to", settings()))
    list(prepare(one, tmp_path / "to", settings(), replace=True))
    copy = tmp_path / "here" / done.obsid
    shutil.copytree(done.folder, copy)
    with pytest.raises(ConfigError, match="is where the event lists are"):
        list(prepare(copy, copy.parent, settings(), replace=True))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError):
        list(prepare(tmp_path / "empty", tmp_path / "to", settings()))


def test_products_without_event_lists(one, tmp_path, settings):
    half = tmp_path / GOOD
    half.mkdir()
    (source_list,) = one.glob("*OBSMLI*")
    shutil.copy(source_list, half)
    with pytest.raises(InputError, match=f"{GOOD} has no event list for SAS, only other products"):
        list(prepare(half, tmp_path / "to", settings()))
    assert not left_behind(tmp_path / "to")


def test_the_command(one, tmp_path, settings, command, monkeypatch):
    code, _, wrong = command("sas", tmp_path / "nowhere")
    assert code == 2
    assert "There is no file or folder" in wrong
    monkeypatch.delenv("SAS_DIR", raising=False)
    code, _, wrong = command("sas", one, "--to", tmp_path / "to")
    assert code == 1
    assert "SAS is not ready here: SAS_DIR is not set" in wrong
    for name in ("SAS_DIR", "PATH"):
        monkeypatch.setenv(name, settings().environment[name])
    code, said, _ = command("sas", one, "--to", tmp_path / "to")
    assert code == 0
    assert "To search: exod detect" in said


def test_the_selection_is_that_of_the_search():
    from exod.instruments import EMOS1

    assert selection(EMOS1) == "#XMMEA_EM&&(PATTERN<=12)&&(PI in [200:12000])"
