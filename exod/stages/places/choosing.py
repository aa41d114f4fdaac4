"""Which observations of an archive cover a place, and which of their regions lie there."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
import pandas as pd

from exod.archive import Archive
from exod.errors import InputError
from exod.observation.identifiers import obsid_of_row
from exod.schemas.arrays import Floats
from exod.schemas.kinds import OBSID_FORM
from exod.sky.plane import TangentPlane
from exod.sky.sphere import separations_arcsec, unit_vectors

_PLANE: Final = tuple(item.name for item in fields(TangentPlane))
_POINTING: Final = ("ra_pnt", "dec_pnt")
_BOX: Final = ("y_lo", "y_hi", "x_lo", "x_hi")


@dataclass(frozen=True)
class CoveringObservation:
    """An observation whose image reaches a place.

    Attributes
    ----------
    obsid : str
        The observation.
    regions : DataFrame
        Its regions at the place, rows of the table regions, the strongest first.
    """

    obsid: str
    regions: pd.DataFrame


def covering_observations(
    archive: Archive,
    ra_deg: float,
    dec_deg: float,
    radius_arcsec: float = 0.0,
    obsids: Sequence[str] = (),
) -> list[CoveringObservation]:
    """The observations of an archive whose images reach a place, in order of obsid.

    Parameters
    ----------
    archive : Archive
        The archive.
    ra_deg, dec_deg : float
        The place in degrees.
    radius_arcsec : float
        How far around it.
    obsids : sequence of str
        Only these, if any.

    Raises
    ------
    InputError
        If there is none, or one of the `obsids` is unknown.
    """
    which = [("obsid", "in", sorted(set(obsids)))] if obsids else ()
    columns = ["obsid", *_POINTING, *_PLANE]
    known = archive.table("observations", columns=columns, filters=which).compute()
    for obsid in obsids:
        if obsid not in set(known["obsid"]):
            raise InputError(f"{archive.root} has no observation {obsid!r} that was searched.")
    if known.empty:
        raise InputError(f"{archive.root} has no observation that was searched.")
    columns = ["obsid", "runid", "size_arcsec", *_BOX]
    runs = archive.table("runs", columns=columns, filters=which).compute()
    widths = runs.set_index("runid")["size_arcsec"]
    # Subsets may have cells of other sizes: boxes in arcsec.
    runs[[*_BOX]] = runs[[*_BOX]].mul(runs["size_arcsec"], axis=0)
    boxes = runs.groupby("obsid").agg({"y_lo": "min", "y_hi": "max", "x_lo": "min", "x_hi": "max"})
    found = []
    for row in known[known["obsid"].isin(boxes.index)].sort_values("obsid").to_dict("records"):
        box = boxes.loc[row["obsid"]]
        plane = TangentPlane(*(float(row[name]) for name in _PLANE))
        x, y = (float(value) for value in plane.to_pixel(ra_deg, dec_deg))
        across, up = x * plane.pixel_arcsec, y * plane.pixel_arcsec
        reaches = (
            box["x_lo"] - radius_arcsec <= across <= box["x_hi"] + radius_arcsec
            and box["y_lo"] - radius_arcsec <= up <= box["y_hi"] + radius_arcsec
        )
        if reaches:
            regions = archive.observation(str(row["obsid"]), "regions")["regions"]
            width = regions["runid"].map(widths).to_numpy(float) / plane.pixel_arcsec
            here = regions_at(regions, x, y, width, plane.pixel_arcsec)
            found.append(CoveringObservation(str(row["obsid"]), here))
    if not found:
        raise InputError(_outside(archive, known, ra_deg, dec_deg))
    return found


def regions_at(
    regions: pd.DataFrame, x: float, y: float, width: Floats, pixel_arcsec: float
) -> pd.DataFrame:
    """The regions that a place belongs to, the strongest first.

    A place belongs to a region if it lies in its box, or within the error of its position, which
    may lie outside of the box.

    Parameters
    ----------
    regions : DataFrame
        Rows of the table regions of one observation.
    x, y : float
        The place in sky pixels.
    width : ndarray of float64, shape (n_regions,)
        Width of the cells of each region in sky pixels.
    pixel_arcsec : float
        Width of a sky pixel.
    """
    column, row = x / width, y / width
    inside = (regions["x_lo"] <= column) & (column < regions["x_hi"])
    inside &= (regions["y_lo"] <= row) & (row < regions["y_hi"])
    distance = np.hypot(regions["X"] - x, regions["Y"] - y) * pixel_arcsec
    here = regions[inside | (distance <= regions["pos_err_arcsec"])]
    order = pd.DataFrame(
        {
            "sigma": here[["sigma_peak", "sigma_eclipse"]].max(axis=1),
            "b_log": here[["max_B_peak_log", "max_B_eclipse_log"]].max(axis=1),
        }
    ).sort_values(["sigma", "b_log"], ascending=False, kind="stable")
    return here.loc[order.index]


def region_of(archive: Archive, detid: str) -> Mapping[str, Any]:
    """The row of a region.

    Raises
    ------
    InputError
        If the archive has none of this name.
    """
    obsid, run = obsid_of_row(detid), detid.rpartition("_")[0]
    entry = archive.entry(obsid) if re.fullmatch(OBSID_FORM, obsid) else None
    if entry is None:
        raise InputError(
            f"{archive.root} has no region {detid!r}: a region is called as "
            f"0001730201_0_50_0.2_12.0_0, and there is no observation {obsid!r} here."
        )
    regions = archive.observation(obsid, "regions")["regions"]
    rows = regions[regions["detid"] == detid]
    if rows.empty:
        own = list(regions.loc[regions["runid"] == run, "detid"]) or list(regions["detid"])
        shown = f"{', '.join(own[:5])}{', ...' if own[5:] else ''}" if own else "none"
        raise InputError(f"{archive.root} has no region {detid!r}; of {obsid} it has {shown}.")
    return {str(name): value for name, value in rows.iloc[0].items()}


def _outside(archive: Archive, known: pd.DataFrame, ra_deg: float, dec_deg: float) -> str:
    """A sentence on a place in no field, with the field that is nearest."""
    place = f"The position {ra_deg:.5f},{dec_deg:.5f}"
    pointed = known[np.isfinite(known["ra_pnt"]) & np.isfinite(known["dec_pnt"])]
    where = f"the field of {known['obsid'].iloc[0]}"
    if len(known) > 1:
        where = f"any of the {len(known)} fields of {archive.root}"
    if pointed.empty:
        return f"{place} is not in {where}."
    here = unit_vectors([ra_deg], [dec_deg])
    away = separations_arcsec(unit_vectors(pointed["ra_pnt"], pointed["dec_pnt"]), here)
    nearest = int(np.argmin(away))
    distance = float(away[nearest]) / 3600
    told = f"{distance:.1f} deg" if distance >= 1 else f"{60 * distance:.1f} arcmin"
    return f"{place} is not in {where}: {pointed['obsid'].iloc[nearest]} points {told} away."
