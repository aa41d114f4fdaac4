"""Demo: simulate three observations, search them, draw them, make a catalogue, compare."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
from astropy import units as u
from astropy.coordinates import SkyCoord

from exod.archive import Archive, open_archive
from exod.config import Config
from exod.counterparts.wanted import Own, wanted_catalogues
from exod.files.whole import write_whole
from exod.instruments import CAMERAS
from exod.plots import Drawing
from exod.pps import find_observations
from exod.scheduler.plan import Plan
from exod.stages.catalogue.release import Release, write_catalogue
from exod.stages.derive.crossmatch import MatchSettings, crossmatch
from exod.stages.derive.update import bring_up_to_date
from exod.stages.detect.observation import Outcome
from exod.stages.detect.survey import detect_many
from exod.stages.inputs.simulate import simulate_files
from exod.stages.plot import plot_many
from exod.stages.report.page import add_report
from exod.tablefiles.csvtext import csv_text

SEED = 1
"""Seed of the first observation; the others add one."""

OBSERVATIONS: dict[str, dict[str, Any]] = {
    "0900000101": {"duration": 20_000.0, "n_flares": 1},
    "0900000201": {"duration": 12_000.0, "n_flares": 0, "cameras": tuple(CAMERAS)[1:]},
    "0900000301": {"duration": 15_000.0, "n_flares": 2, "n_dropouts": 1},
}
"""The simulated observations, with what differs from the defaults."""

LIGHT_CURVES = 5
"""Light curves drawn of each observation."""

KNOWN = "simulated"
"""Name of the catalogue of the sources that were put in."""

MATCH_ARCSEC = 20.0
"""A region within this distance of a signal has found it."""


class SearchFollower(Protocol):
    """What is told how a search goes on, as `exod.cli.progress.Follower`."""

    def dashboard(self, link: str) -> None:
        """Hear where the dashboard is."""
        ...

    def report(self, outcome: Outcome) -> Outcome:
        """Hear of one outcome, and return it."""
        ...


@dataclass(frozen=True)
class DemoResult:
    """Where the results are, the seconds of the search, and which signals were found."""

    archive: Path
    outcomes: list[Outcome]
    seconds: float
    pictures: list[Path]
    found: pd.DataFrame
    release: Release


def run_demo(
    folder: Path,
    scheduler: str,
    say: Callable[[str], None],
    follow: Callable[[int], AbstractContextManager[SearchFollower]],
    drawing: Drawing | None = None,
) -> DemoResult:
    """Run the demo in `folder`.

    Parameters
    ----------
    folder : Path
        Gets the event lists, the archive and the pictures.
    scheduler : str
        As in `exod.scheduler.plan.Plan`.
    say : callable
        Is told what is going on.
    follow : callable
        Takes the number of observations, and gives a context with what is told of each.
    drawing : Drawing, optional
        Format, size and style of the pictures.
    """
    say("Simulating three observations ...")
    for number, (obsid, options) in enumerate(OBSERVATIONS.items()):
        simulate_files(folder / "data", obsid, SEED + number, **options)
    observations, _ = find_observations([folder / "data"])
    archive = folder / "archive"
    say("Searching them: 3 time bins x 3 energy bands each ...")
    began = time.monotonic()
    with follow(len(observations)) as progress:
        outcomes = [
            progress.report(outcome)
            for outcome in detect_many(
                observations,
                Config(),
                str(archive),
                Plan(scheduler, on_start=progress.dashboard),
            )
        ]
    seconds = time.monotonic() - began
    say("Drawing ...")
    opened = open_archive(archive)
    obsids = [outcome.obsid for outcome in outcomes if outcome.n_runs]
    drawn = plot_many(
        opened,
        obsids,
        folder / "plots",
        Plan(scheduler),
        light_curves=LIGHT_CURVES,
        drawing=drawing,
    )
    pictures = sorted(path for _, paths in drawn for path in paths)
    truth = pd.concat(
        [
            pd.read_csv(folder / "data" / obsid / f"{obsid}_truth.csv").assign(obsid=obsid)
            for obsid in OBSERVATIONS
        ],
        ignore_index=True,
    )
    found = compare(truth, opened.regions.compute())
    release = _release(folder, opened, truth, Plan(scheduler), say)
    return DemoResult(archive, outcomes, seconds, pictures, found, release)


def _release(
    folder: Path, archive: Archive, truth: pd.DataFrame, plan: Plan, say: Callable[[str], None]
) -> Release:
    """Make the catalogue, with what was simulated as the catalogue of known sources."""
    bring_up_to_date(archive, plan, say=say)
    known = folder / "data" / "known_sources.csv"
    columns = ["name", "kind", "ra_deg", "dec_deg", "obsid"]
    write_whole(known, csv_text(truth[columns]))
    say("Matching with the sources that were put in ...")
    own = Own(ra="ra_deg", dec="dec_deg", name=KNOWN)
    settings = MatchSettings(cache=folder / "cache")
    for one in crossmatch(archive, wanted_catalogues([str(known)], own), settings):
        if one.error:
            raise one.error
    hats = find_spec("lsdb") is not None
    extra = "" if hats else ", without HATS since exod[catalogue] is not installed"
    say(f"Writing the catalogue and its report{extra} ...")
    return write_catalogue(
        archive, folder / "catalogue", plan, hats=hats, replace=True, further=[add_report]
    )


def compare(truth: pd.DataFrame, regions: pd.DataFrame) -> pd.DataFrame:
    """Which of the variable signals were found.

    Parameters
    ----------
    truth : DataFrame
        Columns obsid, name, kind, ra_deg, dec_deg, t_start, t_stop, counts_total.
    regions : DataFrame
        Regions of the same observations.

    Returns
    -------
    DataFrame
        One row a burst or eclipse: obsid, signal, seconds, counts, runs (how many of the nine
        found it), offset (arcsec, of the best position).
    """
    rows = []
    for signal in truth[truth["kind"] != "constant"].to_dict("records"):
        own = regions[regions["obsid"] == signal["obsid"]]
        place = SkyCoord(signal["ra_deg"], signal["dec_deg"], unit=u.deg)
        position = SkyCoord(own["ra_deg"].to_numpy(), own["dec_deg"].to_numpy(), unit=u.deg)
        distance = position.separation(place).arcsec
        near = distance < MATCH_ARCSEC
        rows.append(
            {
                "obsid": signal["obsid"],
                "signal": signal["name"],
                "seconds": float(signal["t_stop"] - signal["t_start"]),
                "counts": int(signal["counts_total"]),
                "runs": f"{own['runid'][near].nunique()} of 9",
                'offset "': float(np.min(distance[near])) if near.any() else np.nan,
            }
        )
    return pd.DataFrame(rows)
