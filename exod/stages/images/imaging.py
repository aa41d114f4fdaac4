"""What is wanted of an observation: its images, as files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from exod.archive import Archive
from exod.config import Config
from exod.counts.frameimages import ImageLayer
from exod.errors import ConfigError
from exod.instruments import searched_band
from exod.plots.drawing import DEFAULT, Drawing, save_figures
from exod.plots.fields.ccds import ccd_sheet
from exod.plots.fields.sheets import field_sheet
from exod.plots.fields.space import cube_picture
from exod.pps import ObservationFiles, local_copies
from exod.stages.images.detector import detectors, write_detector
from exod.stages.images.field import (
    SkyField,
    field_of_archive,
    field_of_run,
    frames_in,
    statistics_layers,
    write_field,
    write_regions,
)
from exod.stages.images.onerun import OneRun, one_run, only_run
from exod.stages.places.recorded import recorded_files

KINDS: Final = ("field", "statistics", "ccd", "cube")
"""What there is: images on the sky, statistics over time, CCDs, the cube in three dimensions."""

NOT_DRAWN: Final = frozenset({"SOURCES", "N90"})
"""Images of a field that its picture leaves out."""


@dataclass(frozen=True)
class WantedImages:
    """What is wanted.

    Attributes
    ----------
    kinds : tuple of str
        Some of `KINDS`.
    span : (float, float), optional
        Time range, mission elapsed seconds; all by default.
    subset : int
        Which group of overlapping exposures.
    drawing : Drawing
        Format, size and style of the pictures.

    Raises
    ------
    ConfigError
        If a kind is unknown.
    """

    kinds: tuple[str, ...] = ("field",)
    span: tuple[float, float] | None = None
    subset: int = 0
    drawing: Drawing = DEFAULT

    def __post_init__(self) -> None:
        unknown = sorted(set(self.kinds) - set(KINDS))
        if unknown or not self.kinds:
            raise ConfigError(
                f"There is no kind {', '.join(unknown) or '(none)'} of images; give some of "
                f"{', '.join(KINDS)}."
            )


def images_of_archive(
    archive: Archive, obsid: str, config: Config, folder: Path, wanted: WantedImages
) -> Iterator[Path]:
    """Write images of an observation as an archive has it.

    Images of whole runs come from its tables; what else is wanted is searched again, with the
    settings of the archive, in the files that the search was made of.

    Parameters
    ----------
    archive : Archive
        Where the results are.
    obsid : str
        The observation.
    config : Config
        Settings of the archive, with one time bin and one band.
    folder : Path
        Where the files go.
    wanted : WantedImages
        What is wanted.

    Yields
    ------
    Path
        What was written.
    """
    t_bin, band = only_run(config)
    band = searched_band(obsid, band)
    same_cells = config.cube.size_arcsec == archive.config.cube.size_arcsec
    if wanted.kinds == ("field",) and wanted.span is None and same_cells:
        found = field_of_archive(archive, obsid, wanted.subset, t_bin, band)
        yield from field_files(found, folder, wanted.drawing)
        return
    yield from images_of_files(recorded_files(archive, obsid), config, folder, wanted)


def images_of_files(
    files: ObservationFiles, config: Config, folder: Path, wanted: WantedImages
) -> Iterator[Path]:
    """Write images of an observation, searched for the purpose with one time bin and band.

    Parameters
    ----------
    files : ObservationFiles
        The observation.
    config : Config
        Settings.
    folder : Path
        Where the files go.
    wanted : WantedImages
        What is wanted.

    Yields
    ------
    Path
        What was written.
    """
    with local_copies(files) as here:
        one = one_run(here, config, wanted.subset)
        found = field_of_run(one, wanted.span)
        if "field" in wanted.kinds:
            yield from field_files(found, folder, wanted.drawing)
        if "statistics" in wanted.kinds:
            layers = tuple(statistics_layers(one, wanted.span))
            yield write_field(found, folder / f"{found.runid}_statistics.fits", layers)
            yield from save_figures(_statistics(found, layers), folder, wanted.drawing)
        if "cube" in wanted.kinds:
            yield from save_figures(_space(one, found, wanted.span), folder, wanted.drawing)
        if "ccd" in wanted.kinds:
            yield from _ccds(here, one, folder, wanted)


def field_files(found: SkyField, folder: Path, drawing: Drawing) -> Iterator[Path]:
    """Write the images of a field, its regions for DS9, and the picture of it."""
    yield write_field(found, folder / f"{found.runid}_field.fits")
    yield write_regions(found, folder / f"{found.runid}.reg")
    yield from save_figures(_field(found), folder, drawing)


def _field(found: SkyField) -> Iterator[tuple[str, Any]]:
    layers = [layer for layer in found.layers if layer.name not in NOT_DRAWN]
    about = (found.target, found.start, found.stop)
    marks = (found.regions, found.sources)
    yield (
        f"{found.runid}_field",
        field_sheet(found.run, layers, found.projection.wcs, about, *marks),
    )


def _statistics(found: SkyField, layers: Sequence[ImageLayer]) -> Iterator[tuple[str, Any]]:
    about = (found.target, found.start, found.stop)
    sheet = field_sheet(found.run, layers, found.projection.wcs, about, found.regions)
    yield f"{found.runid}_statistics", sheet


def _space(
    one: OneRun, found: SkyField, span: tuple[float, float] | None
) -> Iterator[tuple[str, Any]]:
    which = frames_in(one, span)
    cells, regions = found.cells, found.regions
    yield (
        f"{found.runid}_cube",
        cube_picture(found.run, one.run.cube, which, cells, regions, found.target),
    )


def _ccds(
    files: ObservationFiles[Path], one: OneRun, folder: Path, wanted: WantedImages
) -> Iterator[Path]:
    """FITS and picture of the CCDs of each exposure."""
    band = one.run.band
    for found in detectors(files, one, wanted.span):
        exposure = found.exposure
        name = f"{one.run.runid}_{exposure.instrument}_{exposure.expid or 'ccds'}_ccds"
        yield write_detector(found, band, folder / f"{name}.fits")
        title = (f"{exposure.target} · {exposure.obsid}".strip(" ·"), exposure.instrument)
        span = (found.start, found.stop)
        figures = (
            (name, ccd_sheet((*title, exposure.expid), images, band, span))
            for images in [found.images]
        )
        yield from save_figures(figures, folder, wanted.drawing)
