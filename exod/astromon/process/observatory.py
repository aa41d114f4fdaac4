"""Downloads by the programs of the observatory: arc5gl, and download_chandra_obsid of CIAO."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from exod.astromon.process.description import observation_parameters
from exod.astromon.process.programs import Ciao, CiaoError, chdir
from exod.astromon.process.workfiles import found
from exod.errors import DownloadError

PLACES: Final = {
    "obspar": ("obspar", "."),
    "evt2": ("{instrument}2{{evt2}}", "primary"),
    "evt1": ("{instrument}1{{evt1}}", "secondary"),
    "fov": ("{instrument}1{{fov}}", "primary"),
    "msk": ("{instrument}1{{msk}}", "secondary"),
    "mtl": ("{instrument}1{{mtl}}", "secondary"),
    "bpix": ("{instrument}1[*bpix*]", "primary"),
    "flt": ("{instrument}1[*flt*]", "secondary"),
    "stat": ("{instrument}1[*stat*]", "secondary"),
    "asol": ("asp1[*asol*]", "secondary"),
    "acal": ("asp1[*acal*]", "secondary"),
    "dtf": ("{instrument}1[*dtf1*]", "primary"),
}
"""Types of files: what arc5gl is asked for, and the folder that gets it."""

_logger = logging.getLogger("astromon")


def by_arc5gl(folder: Path, obsid: str, ftypes: Sequence[str]) -> bool:
    """Fetch files with arc5gl; False where it is not installed.

    Raises
    ------
    DownloadError
        If arc5gl fails.
    """
    try:
        arc5gl: Any = import_module("Ska.arc5gl")
    except ImportError:
        return False
    if "obspar" not in ftypes and not found(folder, "*obs0*"):
        _get(arc5gl, folder, obsid, "obspar", PLACES["obspar"])
    for kind in ftypes:
        if kind not in PLACES:
            _logger.error("OBSID=%s %s is skipped: it is in no known place", obsid, kind)
            continue
        what, place = PLACES[kind]
        if "{" in what:
            what = what.format(instrument=observation_parameters(folder, int(obsid))["instrument"])
        _get(arc5gl, folder, obsid, kind, (what, place))
    return True


def _get(arc5gl: Any, folder: Path, obsid: str, kind: str, where: tuple[str, str]) -> None:
    what, place = where
    name = "obs0" if kind == "obspar" else kind
    target = folder / place
    if found(target, f"*{name}*"):
        return
    target.mkdir(parents=True, exist_ok=True)
    try:
        with chdir(target):
            client = arc5gl.Arc5gl()
            client.sendline(f"obsid={obsid}")
            client.sendline(f"get {what}")
    except Exception as error:
        raise DownloadError(f"arc5gl fails for {what} of obsid {obsid} ({error}).") from error


def by_download_program(folder: Path, obsid: str, ftypes: Sequence[str], ciao: Ciao) -> None:
    """Fetch files with download_chandra_obsid, unless there are some from an earlier time.

    Raises
    ------
    CiaoError
        If it fails.
    """
    tag = f"OBSID={obsid}"
    mark = folder / ".download.begun"
    if not mark.exists() and ((folder / "secondary").exists() or (folder / "repro").exists()):
        return
    mark.touch()
    said = ciao.output("download_chandra_obsid", "-t", "-q", logging_tag=tag)
    known = said.rpartition(":")[2].split()
    if not known:
        raise CiaoError(f"{tag} download_chandra_obsid of CIAO tells no types of files.")
    exclude = ",".join(kind for kind in known if kind not in ftypes)
    ciao.output(
        "download_chandra_obsid", obsid, "--exclude", exclude, logging_tag=tag, cwd=folder.parent
    )
    mark.unlink()
    if "evt2" in ftypes and not found(folder, "primary/*_evt2.fits*"):
        raise DownloadError(
            f"The public archive of Chandra gave no events of obsid {obsid}: it does not exist, or "
            f"is not public yet."
        )
