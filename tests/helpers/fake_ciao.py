"""A stand-in for CIAO on a prefix: programs that record every call and do little else."""

from __future__ import annotations

import json
import sys
from pathlib import Path

PROGRAMS = (
    *("dmkeypar", "pget", "punlearn", "dmcoords", "dmcopy", "dmlist", "fluximage", "pileup_map"),
    *("dmimgfilt", "acis_streak_map", "wavdetect", "celldetect", "dmstat", "chandra_repro"),
    "download_chandra_obsid",
)

_HEAD = f"""#!{sys.executable} -IS
import json
import os
import sys
from pathlib import Path
name, args = Path(sys.argv[0]).name, sys.argv[1:]
values = dict(arg.split("=", 1) for arg in args if "=" in arg)
with open(os.environ["FAKE_CIAO_CALLS"], "a") as file:
    file.write(json.dumps([name, *args]) + "\\n")
"""


class FakeCiao:
    """A folder that looks like CIAO.

    Programs do nothing but record their arguments, until `make` gives them a body of Python, which
    knows `name`, `args`, and `values` of the parameters that were given as name=value.
    """

    def __init__(self, prefix: Path) -> None:
        self.prefix = prefix
        self._calls = prefix / "calls.txt"
        binaries = prefix / "bin"
        binaries.mkdir(parents=True)
        (binaries / "ciao.sh").write_text(
            f'export ASCDS_INSTALL="{prefix}"\n'
            f'export PATH="{binaries}:$PATH"\n'
            f'export FAKE_CIAO_CALLS="{self._calls}"\n'
        )
        for program in PROGRAMS:
            self.make(program)

    def make(self, program: str, body: str = "") -> None:
        path = self.prefix / "bin" / program
        path.write_text(f"{_HEAD}{body}\n")
        path.chmod(0o755)

    def remove(self, program: str) -> None:
        (self.prefix / "bin" / program).unlink()

    @property
    def calls(self) -> list[list[str]]:
        if not self._calls.exists():
            return []
        return [json.loads(line) for line in self._calls.read_text().splitlines()]

    def forget(self) -> None:
        self._calls.unlink(missing_ok=True)
