"""Calls of programs of CIAO, and the contexts around them."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.fake_ciao import FakeCiao

from exod.astromon import utils
from exod.astromon.process.programs import CiaoError


@pytest.fixture
def fake(tmp_path: Path) -> FakeCiao:
    return FakeCiao(tmp_path / "ciao")


def test_calls_environment_and_output(fake, tmp_path, caplog):
    fake.make("dmlist", "print('first'); print(os.environ['PFILES']); print('last')")
    ciao = utils.Ciao(fake.prefix, tmp_path / "work", "astromon")
    with caplog.at_level(logging.INFO, "astromon"):
        ciao("dmlist", "evt.fits[2]", 3, logging_tag="OBSID=1", clobber="yes", thresh=3)
    assert fake.calls == [["dmlist", "evt.fits[2]", "3", "clobber=yes", "thresh=3"]]
    places = f"{tmp_path / 'work'};{fake.prefix}/param:{fake.prefix}/contrib/param"
    assert ciao.env["PFILES"] == places
    assert ciao.env["ASCDS_WORK_PATH"] == str(tmp_path / "work")
    assert caplog.messages == [
        "OBSID=1 dmlist evt.fits[2] 3 clobber=yes thresh=3",
        "OBSID=1 first",
        f"OBSID=1 {places}",
        "OBSID=1 last",
    ]


def test_parameters_are_asked_once(fake, tmp_path):
    fake.make("pget", "print(' 12.5 ')")
    assert utils.Ciao(fake.prefix, tmp_path / "work").pget("dmcoords", "x") == "12.5"
    assert utils.Ciao(fake.prefix).pget("dmkeypar") == "12.5"
    assert fake.calls == [["pget", "dmcoords", "x"], ["pget", "dmkeypar", "value"]]


HANGS = """
import subprocess
subprocess.Popen(["/bin/sleep", "1000"])
subprocess.Popen(["/bin/sleep", "1000"]).wait()
"""


def test_programs_that_hang_are_stopped_with_all_that_they_started(fake, tmp_path):
    fake.make("wavdetect", HANGS)
    ciao = utils.Ciao(fake.prefix, tmp_path / "work", limit_h=0.3 / 3600)
    for call in (ciao, ciao.output):
        with pytest.raises(CiaoError, match=r"wavdetect of CIAO had not ended after 8\.3\S* h and"):
            call("wavdetect", logging_tag="OBSID=1")
    fake.make("pget", "print(3)")
    assert utils.Ciao(fake.prefix, tmp_path / "work").pget("dmcoords", "x") == "3"


def test_programs_that_fail_or_are_not_there(fake, tmp_path):
    ciao = utils.Ciao(fake.prefix, tmp_path / "work")
    fake.make("dmcopy", "print('# dmcopy: no such file.'); sys.exit(3)")
    sentence = r"^OBSID=1 dmcopy of CIAO failed \(exit code 3: # dmcopy: no such file\)\.$"
    with pytest.raises(CiaoError, match=sentence):
        ciao("dmcopy", "a", "b", logging_tag="OBSID=1")
    fake.make("pget", "sys.stderr.write('no parameter'); sys.exit(1)")
    with pytest.raises(CiaoError, match=r"^pget of CIAO failed \(exit code 1: no parameter\)\.$"):
        ciao.pget("dmcoords", "x")
    fake.remove("dmstat")
    with pytest.raises(CiaoError, match="CIAO has no program dmstat"):
        ciao("dmstat", "image")


def test_where_there_is_no_ciao(fake, tmp_path):
    with pytest.raises(CiaoError, match="does not exist"):
        utils.Ciao(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CiaoError, match=r"no bin/ciao\.sh"):
        utils.Ciao(tmp_path / "empty")
    with pytest.raises(CiaoError, match="has a colon"):
        utils.Ciao(fake.prefix, tmp_path / "a:b")
    other = FakeCiao(tmp_path / "other")
    (other.prefix / "bin" / "ciao.sh").write_text("export ASCDS_INSTALL=\n")
    with pytest.raises(CiaoError, match="does not set ASCDS_INSTALL"):
        utils.Ciao(other.prefix)


def test_the_context_is_what_it_was(tmp_path, monkeypatch):
    monkeypatch.setenv("ASCDS_INSTALL", "/soft/ciao")
    monkeypatch.setenv("PFILES", "before")
    monkeypatch.delenv("ASCDS_WORK_PATH", raising=False)
    with utils.ciao_context(tmp_path / "param"):
        assert os.environ["ASCDS_WORK_PATH"] == str(tmp_path / "param")
        assert os.environ["PFILES"].startswith(f"{tmp_path / 'param'};/soft/ciao/param:")
    assert os.environ["PFILES"] == "before"
    assert "ASCDS_WORK_PATH" not in os.environ
    monkeypatch.delenv("ASCDS_INSTALL")
    with pytest.raises(CiaoError, match="ASCDS_INSTALL is missing"):
        utils.ciao_context(tmp_path / "param")


def test_the_current_folder_comes_back(tmp_path):
    before = Path.cwd()
    with utils.chdir(tmp_path):
        assert Path.cwd() == tmp_path
    assert Path.cwd() == before


@pytest.mark.parametrize("text", [True, False])
def test_output_of_a_process_is_logged(text, caplog):
    process = subprocess.Popen(
        [sys.executable, "-c", "print('a'); print(); print('b')"], stdout=subprocess.PIPE, text=text
    )
    with process:
        utils.communicate(process, level="ERROR", text=text, logging_tag="tag")
    assert process.returncode == 0
    assert [(r.levelname, r.getMessage()) for r in caplog.records] == [
        ("ERROR", "tag a"),
        ("ERROR", "tag "),
        ("ERROR", "tag b"),
    ]


def test_calls_are_logged(caplog):
    @utils.logging_call_decorator
    def divide(a: int, b: int) -> float:
        if b == 1:
            raise utils.FlowException("enough")
        return a / b

    with caplog.at_level(logging.INFO, "astromon"):
        assert divide(6, b=2) == 3.0
        with pytest.raises(ZeroDivisionError):
            divide(6, 0)
        with pytest.raises(utils.FlowException):
            divide(6, 1)
    assert caplog.messages == [
        "6 divide(b=2) Started",
        "6 divide(b=2) Finished",
        "6 divide(0) Started",
        "6 divide(0) Except: division by zero",
        "6 divide(1) Started",
    ]
    silent = utils.LoggingCallDecorator(ignore_exceptions=True)
    assert silent(divide)(6, 0) is None
    assert silent(divide)(6, 1) is None
