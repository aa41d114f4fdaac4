"""The photons of a region: those that its search counted, one row each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

import numpy as np
import pandas as pd

from exod.archive import Archive
from exod.counts.cube import CountCube
from exod.counts.grid import Box
from exod.errors import ConfigError, InputError
from exod.observation.gti import Frames
from exod.observation.subsets import MergedEvents
from exod.observation.times import mjd_of
from exod.pps import local_copies
from exod.schemas.arrays import Indices
from exod.schemas.places import PHOTONS
from exod.search.places import cells_within, photons_in, photons_of_windows
from exod.search.subset import count_subset
from exod.stages.detect.read import read_observation
from exod.stages.places.asking import checked_between
from exod.stages.places.choosing import region_of
from exod.stages.places.curves import with_runs
from exod.stages.places.recorded import recorded_files
from exod.tablefiles.fitsheads import Header

_DETAILS: Final = ("rawx", "rawy", "pattern", "flag")
"""What an event list has of a photon that the search does not need."""

Take = Literal["cells", "region", "box"]
TAKEN: Final[tuple[str, ...]] = get_args(Take)
"""What can be taken of a region."""


@dataclass(frozen=True)
class RegionPhotons:
    """The photons of a region.

    Attributes
    ----------
    rows : DataFrame
        Rows of the table `exod.schemas.places.PHOTONS`, in order of time.
    header : dict
        Keywords of the table as FITS: the projection of X and Y, and what the rows are of.
    """

    rows: pd.DataFrame
    header: Header


def region_photons(
    archive: Archive,
    detid: str,
    take: str = "cells",
    *,
    between: tuple[float, float] | None = None,
    options: Mapping[str, Any] | None = None,
) -> RegionPhotons:
    """The photons of a region, from the event lists that its search read.

    Parameters
    ----------
    archive : Archive
        The archive.
    detid : str
        The region.
    take : {"cells", "region", "box"}
        Photons of its significant cells (or windows), each in its frame; of the cells of the
        region in all frames; of its bounding box in all frames, as many as in its light curve.
    between : (float, float), optional
        Only this half-open range of mission elapsed seconds.
    options : dict, optional
        Of the fsspec file system of URLs of event lists.

    Raises
    ------
    InputError
        If there is no such region, its event lists are gone, or no photon is in the time.
    ConfigError
        If the time is empty, or `take` is none of the three.
    """
    between = checked_between(between)
    if take not in TAKEN:
        raise ConfigError(f"Photons are taken of {', '.join(TAKEN)}, not of {take!r}.")
    region = region_of(archive, detid)
    found = archive.observation(str(region["obsid"]), "cells")["cells"]
    cells = found[(found["runid"] == region["runid"]) & (found["label"] == region["label"])]
    events, cube, frames = _counted(archive, region, options)
    chosen = _chosen(cube, cells, region, take, archive.config.cube.window, frames)
    time = events.time[cube.event[chosen]]
    if between is not None:
        own = (time >= between[0]) & (time < between[1])
        if not own.any():
            asked = " and ".join(f"{end:.12g}" for end in between)
            raise InputError(
                f"No photon of {detid} came between {asked} s; its run is from "
                f"{events.t_lo:.12g} to {events.t_hi:.12g} s."
            )
        chosen = chosen[own]
    return RegionPhotons(
        _rows(events, cube, chosen, frames, str(region["obsid"])),
        _header(events, region, take),
    )


def _counted(
    archive: Archive, region: Mapping[str, Any], options: Mapping[str, Any] | None
) -> tuple[MergedEvents, CountCube, Frames]:
    """Events of the region's subset, its cube in sub-frames, and the whole frames of its run."""
    t_bin, shifts = float(region["t_bin"]), archive.config.cube.frame_shifts
    band = float(region["e_lo"]), float(region["e_hi"])
    config = with_runs(archive.config, [t_bin / shifts], [band])
    with local_copies(recorded_files(archive, str(region["obsid"]), options)) as here:
        observation = read_observation(here, config, _DETAILS)
    events = next(item for item in observation.subsets if item.number == int(region["subset"]))
    (run,) = count_subset(events, observation.sources, config)
    return events, run.cube, Frames.covering(events.t_lo, events.t_hi, t_bin)


def _chosen(
    cube: CountCube,
    cells: pd.DataFrame,
    region: Mapping[str, Any],
    take: str,
    width: int,
    frames: Frames,
) -> Indices:
    """Indices into the cube's events of those that are taken."""
    shifts = round(frames.t_bin / cube.frames.t_bin)
    y, x = (
        cells[name].to_numpy(np.int64) - low
        for name, low in (("y", cube.box.y_lo), ("x", cube.box.x_lo))
    )
    if take == "cells":
        since = cells["TIME_lo"].to_numpy(float) - cube.frames.t_lo
        first = np.rint(since / cube.frames.t_bin).astype(np.int64)
        return photons_of_windows(cube, first, y, x, width=width, shifts=shifts)
    if take == "box":
        edges = (int(region[name]) for name in ("y_lo", "y_hi", "x_lo", "x_hi"))
        inside = photons_in(cube, cells_within(Box(*edges), cube.box))
    else:
        mask = np.zeros(cube.box.shape, bool)
        for row, column in zip(y.tolist(), x.tolist(), strict=True):
            mask[row : row + width, column : column + width] = True
        inside = photons_in(cube, mask)
    # Behind the last whole frame nothing was searched.
    return inside[cube.frame[inside] < frames.n * shifts]


def _rows(
    events: MergedEvents, cube: CountCube, chosen: Indices, frames: Frames, obsid: str
) -> pd.DataFrame:
    index = cube.event[chosen]
    y, x = np.divmod(cube.cell[chosen], max(cube.box.shape[1], 1))
    ra, dec = events.plane.to_sky(events.x[index], events.y[index])
    exposures = np.array([(item.instrument, item.expid) for item in events.exposures])
    source = events.source[index]
    return PHOTONS.frame(
        pd.DataFrame(
            {
                "TIME": events.time[index],
                "TIME_mjd": mjd_of(events.time[index]),
                "X": events.x[index],
                "Y": events.y[index],
                "PI": events.pi[index],
                "CCDNR": events.ccdnr[index],
                **{name.upper(): events.details[name][index] for name in _DETAILS},
                "instrument": exposures[source, 0],
                "expid": exposures[source, 1],
                "ra_deg": ra,
                "dec_deg": dec,
                "frame": frames.index(events.time[index]),
                "cell_y": y + cube.box.y_lo,
                "cell_x": x + cube.box.x_lo,
                "obsid": obsid,
            }
        )
    )


def _header(events: MergedEvents, region: Mapping[str, Any], take: str) -> Header:
    """What programs that open event lists look for (FITS 4.0, section 8; Rots et al. 2015)."""
    plane, names = events.plane, PHOTONS.schema.names
    found: dict[str, tuple[str | int | float, str]] = {}
    axes = (
        ("X", "RA---TAN", plane.x_ref, plane.ra_ref, plane.x_delta),
        ("Y", "DEC--TAN", plane.y_ref, plane.dec_ref, plane.y_delta),
    )
    for name, kind, pixel, value, delta in axes:
        number = names.index(name) + 1
        found |= {
            f"TCTYP{number}": (kind, f"Projection of {name}"),
            f"TCRPX{number}": (pixel, "Reference pixel"),
            f"TCRVL{number}": (value, "Its position"),
            f"TCDLT{number}": (delta, "Size of a pixel"),
            f"TCUNI{number}": ("deg", "Unit of positions"),
            f"RADE{number}": ("ICRS", "Frame of positions"),
            f"TLMIN{number}": (0, "Smallest pixel"),
            f"TLMAX{number}": (events.sky_extent, "Largest pixel"),
        }
    cameras = {item.instrument for item in events.exposures}
    found |= {"INSTRUME": (cameras.pop(), "Camera")} if len(cameras) == 1 else {}
    return found | {
        "TELESCOP": (events.observatory.name, "Observatory"),
        "TSTART": (events.t_lo, "Start of the run"),
        "TSTOP": (events.t_hi, "End of what was searched, exposures in common"),
        "OBS_ID": (str(region["obsid"]), "Observation"),
        "DETID": (str(region["detid"]), "Region"),
        "TAKEN": (take, "Cells in their frames, region or box in all"),
    }
