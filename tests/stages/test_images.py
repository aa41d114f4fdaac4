"""Images of one run: their coordinates, their sums, and the same from an archive and from files."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from helpers.faults import GOOD, OTHER

from exod.archive import open_archive
from exod.config import Config
from exod.errors import plural
from exod.pps import find_observations
from exod.scheduler.plan import Plan
from exod.stages.detect.survey import detect_many
from exod.stages.images.field import field_of_run
from exod.stages.images.imaging import WantedImages, images_of_archive, images_of_files
from exod.stages.images.onerun import OneRun, one_run

CONFIG = Config.load(overrides=["cube.t_bin=[50]", "cube.bands=[[0.2,12]]"])
RUNID = f"{GOOD}_0_50_0.2_12.0"
Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def one(small: Path) -> OneRun:
    (files,), _ = find_observations([small / GOOD])
    return one_run(files, CONFIG)


@pytest.fixture(scope="module")
def archive(small: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images") / "archive"
    observations, _ = find_observations([small / GOOD, small / OTHER])
    assert len(list(detect_many(observations, CONFIG, str(folder), Plan("sync")))) == 2
    return folder


@pytest.fixture(scope="module")
def written(small: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("written")
    (files,), _ = find_observations([small / GOOD])
    wanted = WantedImages(("field", "statistics", "ccd", "cube"))
    paths = list(images_of_files(files, CONFIG, folder, wanted))
    assert sorted(folder.iterdir()) == sorted(paths)
    return {path.name.removeprefix(RUNID): path for path in paths}


def test_what_is_written(written: dict[str, Path]) -> None:
    names = {name for name in written if "ccds" not in name}
    kinds = ("field.fits", "field.png", "statistics.fits", "statistics.png", "cube.png")
    assert names == {".reg", *(f"_{kind}" for kind in kinds)}


def test_images_sum_to_the_counts_of_the_cube(written: dict[str, Path], one: OneRun) -> None:
    cube = one.run.cube
    with fits.open(written["_field.fits"], checksum=True) as found:
        assert found["COUNTS"].data.sum() == cube.n_sum > 0
        np.testing.assert_array_equal(found["COUNTS"].data, cube.image())
        np.testing.assert_allclose(found["EXPECTED"].data, one.run.expectation.image(), rtol=1e-6)
        live = float((~cube.masked).sum() * 50)
        assert set(np.unique(found["EXPOSURE"].data)) <= {0.0, live}
        assert (found["EXPOSURE"].data[cube.image() > 0] == live).all()
        significant = np.zeros(cube.box.shape, bool)
        significant[one.run.cells.y, one.run.cells.x] = True
        np.testing.assert_array_equal(found["SIGNIFICANCE"].data != 0, significant)
    with fits.open(written["_statistics.fits"]) as found:
        dense = cube.dense_block(0, cube.frames.n)[~cube.masked]
        for name in ("max", "min", "mean", "median", "std", "sum"):
            expected = getattr(np, name)(dense.astype(float), axis=0)
            np.testing.assert_allclose(found[name.upper()].data, expected, rtol=1e-6)


def test_coordinates_are_those_of_the_events(written: dict[str, Path], one: OneRun) -> None:
    cube, events = one.run.cube, one.events
    with fits.open(written["_field.fits"]) as found:
        world = [WCS(hdu.header) for hdu in found]
        size = abs(found[0].header["CDELT1"]) * 3600
    ra, dec = events.plane.to_sky(events.x[cube.event], events.y[cube.event])
    row, column = np.divmod(cube.cell, cube.box.shape[1])
    for wcs in world:
        x, y = wcs.all_world2pix(ra, dec, 0)
        # An event lies in the pixel that counts it, to a tenth of an arcsec.
        beyond = np.maximum(np.abs(x - column), np.abs(y - row)) - 0.5
        assert beyond.max() * size < 0.1


def test_regions_are_on_their_cells(written: dict[str, Path], one: OneRun) -> None:
    text = written[".reg"].read_text()
    polygons = re.findall(r"polygon\(([^)]*)\).*text={(\d+):", text)
    assert f": {plural(len(one.run.regions), 'region')}\n" in text
    assert len(polygons) == len(one.run.regions) > 0
    assert text.count("tag={known source}") == len(one.observation.sources)
    grid, box = one.run.cube.grid, one.run.cube.box
    for numbers, label in polygons:
        corners = np.array(numbers.split(","), float).reshape(4, 2)
        x, y = one.events.plane.to_pixel(*corners.T)
        (region,) = (r.region for r in one.run.regions if r.region.label == int(label))
        own = region.box.shifted(box.y_lo, box.x_lo)
        for found, low, high in ((x, own.x_lo, own.x_hi), (y, own.y_lo, own.y_hi)):
            edges = grid.width * np.array([low, high])
            np.testing.assert_allclose([found.min(), found.max()], edges, atol=0.1)


def test_ccds_have_the_events_of_the_run(written: dict[str, Path], one: OneRun) -> None:
    low, high = 200, 12_000
    chosen = (one.events.pi > low) & (one.events.pi < high)
    chosen &= (one.events.time >= one.events.t_lo) & (one.events.time <= one.events.t_hi)
    for number, exposure in enumerate(one.events.exposures):
        name = f"_{exposure.instrument}_{exposure.expid}_ccds"
        assert written[f"{name}.png"].stat().st_size > 10_000
        own = chosen & (one.events.source == number)
        with fits.open(written[f"{name}.fits"]) as found:
            counts = {int(hdu.name[3:]): int(hdu.data.sum()) for hdu in found}
        expected = np.bincount(one.events.ccdnr[own], minlength=len(counts) + 1)[1:]
        assert list(counts.values()) == expected.tolist()


@pytest.mark.drill
def test_an_archive_gives_the_same(archive: Path, written: dict[str, Path], tmp_path: Path) -> None:
    opened = open_archive(archive)
    paths = list(images_of_archive(opened, GOOD, CONFIG, tmp_path, WantedImages()))
    assert [path.name for path in paths] == [
        f"{RUNID}{kind}" for kind in ("_field.fits", ".reg", "_field.png")
    ]
    assert paths[1].read_text() == written[".reg"].read_text()
    with fits.open(paths[0]) as found, fits.open(written["_field.fits"]) as expected:
        assert [hdu.name for hdu in found] == [hdu.name for hdu in expected]
        for own, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(own.data, other.data, rtol=1e-5, atol=1e-5)
            skipped = ("CHECKSUM", "DATASUM")
            headers = [
                {key: value for key, value in hdu.header.items() if key not in skipped}
                for hdu in (own, other)
            ]
            assert headers[0] == headers[1]
    # What the tables do not have is made of the files that the archive was made of.
    more = WantedImages(("statistics",))
    (path, _) = images_of_archive(opened, GOOD, CONFIG, tmp_path, more)
    assert path.read_bytes() == written["_statistics.fits"].read_bytes()


def test_time_range(one: OneRun) -> None:
    frames = one.run.cube.frames
    whole = field_of_run(one)
    middle = frames.t_lo + 50.0 * (frames.n // 2)
    parts = [
        field_of_run(one, span) for span in ((0.0, middle), (middle, np.nextafter(1e12, 2e12)))
    ]
    counts, expected = (
        [part.layers[number].values for part in (whole, *parts)] for number in (0, 1)
    )
    np.testing.assert_array_equal(counts[0], np.add(counts[1], counts[2]))
    np.testing.assert_allclose(expected[0], np.add(expected[1], expected[2]), rtol=1e-4, atol=1e-4)
    assert (parts[0].start, parts[0].stop) == (frames.t_lo, middle)
    assert parts[1].start == middle
    assert len(parts[0].cells) + len(parts[1].cells) == len(whole.cells)
    assert {layer.name for layer in whole.layers} - {layer.name for layer in parts[0].layers} == {
        "N50",
        "N90",
    }


def test_by_command(archive: Path, small: Path, tmp_path: Path, command: Command) -> None:
    code, said, _ = command("image", archive, OTHER, "--to", tmp_path, "--format", "svg")
    assert code == 0
    assert {Path(line).suffix for line in said.split()} == {".fits", ".reg", ".svg"}
    utc = "--kind", "statistics", "--t-bin", "20", "--pixel", "40"
    code, said, _ = command("image", small / GOOD, "--to", tmp_path, *utc)
    assert code == 0
    with fits.open(tmp_path / f"{GOOD}_0_20_0.2_12.0_statistics.fits") as found:
        assert found[0].header["TIMEDEL"] == 20
        assert abs(found[0].header["CDELT2"]) * 3600 == pytest.approx(40, abs=1)


@pytest.mark.parametrize(
    ("options", "code", "sentence"),
    [
        (["--between", "5,1"], 2, "The time range from 5 to 1 s is empty"),
        (["--between", "1,1"], 2, "is empty"),
        (["--between", "tomorrow,later"], 2, "tomorrow"),
        (["--between", "1"], 2, "--between takes START,STOP"),
        (["--between", "0,1"], 1, "has no frames between 0.0 and 1.0; it lasts from"),
        (["--kind", "film"], 2, "no kind film of images; give some of field"),
        (["--kind", ""], 2, "no kind (none) of images"),
        (["--subset", "7"], 1, "has no subset 7"),
        (["--pixel", "1"], 2, "size_arcsec: input should be greater than or equal to 5"),
        (["--t-bin", "5,50"], 2, "2 values of --t-bin; give one"),
        (["--t-bin", "1e7"], 1, "less than one time bin of 1e+07 s; choose a shorter one"),
        (["--t-bin", "1e-9"], 2, "more than the 2,000,000 that are counted at most"),
    ],
)
def test_what_cannot_be(
    options: list[str], code: int, sentence: str, small: Path, tmp_path: Path, command: Command
) -> None:
    ended, _, said = command("image", small / GOOD, "--to", tmp_path / "images", *options)
    assert (ended, said.count("\n")) == (code, 1)
    assert sentence in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        ([], 2, "has 2 observations; name those that are wanted"),
        (["0900000999"], 1, "no observation 0900000999"),
        ([GOOD, "0900000999"], 1, "no observation 0900000999"),
        ([GOOD, "--preset", "deep"], 2, "--preset is for event files"),
        ([GOOD, "--t-bin", "7"], 1, f"has no run {GOOD}_0_7_0.2_12.0; it has {RUNID}"),
        ([GOOD, "--t-bin", "x"], 2, "--t-bin takes numbers"),
    ],
)
def test_what_an_archive_does_not_have(
    arguments: list[str], code: int, sentence: str, archive: Path, tmp_path: Path, command: Command
) -> None:
    ended, _, said = command("image", archive, *arguments, "--to", tmp_path / "images")
    assert ended == code
    assert sentence in said
    assert list(tmp_path.iterdir()) == []
