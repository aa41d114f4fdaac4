"""The coverage of an archive: how deep it is where, as picture, map, table and MOC."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd

from exod.archive import Archive
from exod.archive.parquet import to_arrow
from exod.archive.questions.depthindex import ORDER, depth_index
from exod.archive.questions.limits import band_number
from exod.config import Band
from exod.errors import ConfigError
from exod.plots.drawing import DEFAULT, Drawing, save_figures
from exod.plots.fields.surveydepth import DrawnDepth, survey_depth_figure
from exod.schemas.arrays import Floats
from exod.schemas.depth import AREA_CURVE, SURVEY_DEPTH
from exod.sensitivity.depth.surveydepth import (
    SurveyDepth,
    area_curve,
    covered_share,
    seen_parts,
    survey_depth,
)
from exod.sky.healpix import mean_width_arcsec, pixel_centres
from exod.tablefiles.images.moc import write_moc
from exod.tablefiles.writing import write_table

PIXEL_DEG: Final = mean_width_arcsec(ORDER) / 3600

FILES: Final = ("coverage.fits", "coverage_area.csv", "coverage_moc.fits")
"""Names of what is written, besides the picture."""


@dataclass(frozen=True)
class ArchiveCoverage:
    """How deep an archive is.

    Attributes
    ----------
    depth : SurveyDepth
        By pixel.
    limits, areas : ndarray of float64, shape (n,)
        Flux limits that ascend, and square degrees with these or lower ones.
    area : float
        Square degrees that were seen at all.
    band : (float, float)
        Energies in keV.
    duration : float or None
        Seconds that a source lasts; None for as long as each observation.
    """

    depth: SurveyDepth
    limits: Floats
    areas: Floats
    area: float
    band: Band
    duration: float | None

    @property
    def without_flux(self) -> float:
        """Square degrees that were seen by cameras without a factor for fluxes."""
        share = covered_share(self.depth.children[np.isnan(self.depth.flux)])
        return float(share.sum()) * PIXEL_DEG**2

    @property
    def left_out(self) -> str:
        """How much of the area has no flux limit; empty if all of it has."""
        area = self.without_flux
        return f"of {area:.3g} deg² no flux limit is known" if area else ""


def archive_coverage(
    archive: Archive,
    *,
    duration: float | None = None,
    band: Band | None = None,
    level: float = 0.9,
) -> ArchiveCoverage:
    """How deep an archive is over the sky.

    Parameters
    ----------
    archive : Archive
        With the product depth.
    duration : float, optional
        Seconds that a source lasts; by default as long as each observation.
    band : (float, float), optional
        Energies in keV, one of the archive's; by default the widest.
    level : float
        Probability of the limit.

    Raises
    ------
    ArchiveError
        If the product was not made yet.
    ConfigError
        If the duration, band or level is impossible, or nothing was covered.
    """
    if duration is not None and not 0 < duration < np.inf:
        raise ConfigError(f"A source lasts for a number of seconds above 0, not {duration:g}.")
    if not 0 < level < 1:
        raise ConfigError(f"The level is a probability between 0 and 1, not {level:g}.")
    index = depth_index(archive)
    number = band_number(index, band)
    depth = survey_depth(index.covered_pixels(number), duration, level)
    if not len(depth.pixel):
        raise ConfigError(f"No observation of {archive.root} covers any place.")
    limits, areas = area_curve(depth, PIXEL_DEG**2)
    area = float(covered_share(depth.children).sum()) * PIXEL_DEG**2
    return ArchiveCoverage(depth, limits, areas, area, index.bands[number], duration)


def write_coverage(
    found: ArchiveCoverage, folder: Path, *, drawing: Drawing = DEFAULT, overwrite: bool = False
) -> list[Path]:
    """Write the map, the area by flux limit, the MOC and the picture.

    Raises
    ------
    ConfigError
        If one of the files exists and is not to be replaced.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in FILES]
    for path in paths:
        if path.exists() and not overwrite:
            raise ConfigError(f"{path} exists; give another folder, or --overwrite.")
    write_table(
        paths[0],
        SURVEY_DEPTH,
        [to_arrow(SURVEY_DEPTH, map_rows(found.depth), SURVEY_DEPTH.name)],
        overwrite=overwrite,
        header={
            "PIXTYPE": ("HEALPIX", "Pixels of the sky"),
            "ORDERING": ("NESTED", "Their numbers"),
            "NSIDE": (2**ORDER, "Their size"),
            "INDXSCHM": ("EXPLICIT", "Pixels have their number in a column"),
            "COORDSYS": ("C", "ICRS"),
        },
    )
    curve = pd.DataFrame({"flux": found.limits, "area_deg2": found.areas})
    rows = to_arrow(AREA_CURVE, curve, AREA_CURVE.name)
    write_table(paths[1], AREA_CURVE, [rows], overwrite=overwrite)
    write_moc(paths[2], seen_parts(found.depth), ORDER + 2, overwrite=overwrite)
    return [
        *paths,
        *save_figures([("coverage", survey_depth_figure(_drawn(found)))], folder, drawing),
    ]


def map_rows(depth: SurveyDepth) -> pd.DataFrame:
    """Rows of the table `exod.schemas.depth.SURVEY_DEPTH`."""
    ra, dec = pixel_centres(depth.pixel, ORDER)
    return SURVEY_DEPTH.frame(
        pd.DataFrame(
            {
                "PIXEL": depth.pixel,
                "ra_deg": ra,
                "dec_deg": dec,
                "n_observations": depth.observations,
                "seconds": depth.seconds,
                "area_deg2": covered_share(depth.children) * PIXEL_DEG**2,
                "flux": depth.flux,
            }
        )
    )


def _drawn(found: ArchiveCoverage) -> DrawnDepth:
    ra, dec = pixel_centres(found.depth.pixel, ORDER)
    low, high = found.band
    lasts = "all of each observation" if found.duration is None else f"{found.duration:g} s"
    n = int(found.depth.observations.max())
    times = "once" if n == 1 else f"up to {n:,} times"
    title = f"{found.area:.3g} deg² seen {times}; sources that last {lasts}"
    title += f"; {found.left_out} (grey)" if found.left_out else ""
    label = f"Flux limit, {low:g}–{high:g} keV (erg cm⁻² s⁻¹)"
    return DrawnDepth(ra, dec, found.depth.flux, found.limits, found.areas, title, label)
