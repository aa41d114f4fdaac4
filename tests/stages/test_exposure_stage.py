"""Exposure maps as files: units, coordinates, and sentences where there is none."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from helpers.faults import GOOD

from exod.pps import read_event_list

Command = Callable[..., tuple[int, str, str]]
CHANGES = {
    "closed": ({"FILTER": "CalClosed"}, "was lit by the calibration source"),
    "nowhere": ({"PA_PNT": None}, "does not say where the camera looked"),
    "timing": ({"SUBMODE": "FastTiming"}, "FastTiming"),
}


def first_list(folder: Path) -> Path:
    return sorted(folder.glob("*EVLI*"))[0]


def test_maps_by_command(small: Path, tmp_path: Path, command: Command) -> None:
    folder = small / GOOD
    options = ("--pixel", "20", "--to", tmp_path)
    code, said, _ = command("exposure", folder, *options)
    assert code == 0
    *maps, picture = map(Path, said.split())
    assert picture.suffix == ".png"
    assert len(maps) == len(list(folder.glob("*EVLI*")))
    for path in maps:
        with fits.open(path, checksum=True) as found:
            assert [hdu.name for hdu in found] == ["ON", *(f"BAND{n}" for n in range(1, 6))]
            assert {hdu.header["BUNIT"] for hdu in found} == {"s"}
            on, soft, hard = (found[name].data for name in ("ON", "BAND1", "BAND5"))
            wcs, header = WCS(found["BAND3"].header), found[0].header
        (own,) = (
            exposure
            for exposure, _ in map(read_event_list, folder.glob("*EVLI*"))
            if exposure.instrument == header["INSTRUME"]
        )
        longest = max(curve.seconds for curve in own.live.curves.values())
        assert on.max() == pytest.approx(longest, rel=1e-6)
        x, y = wcs.all_world2pix(own.ra_pnt, own.dec_pnt, 0)
        assert [float(x), float(y)] == pytest.approx([on.shape[0] / 2 - 0.5] * 2, abs=0.5)
        assert ((on > 0) == (hard > 0)).all()
        assert (hard <= soft * 1.001).all()
        assert np.isclose(hard.max(), on.max(), rtol=0.02)


@pytest.mark.parametrize("what", CHANGES)
def test_a_list_without_a_map_is_told(
    what: str, small: Path, tmp_path: Path, command: Command
) -> None:
    keywords, sentence = CHANGES[what]
    folder = tmp_path / GOOD
    folder.mkdir()
    path = Path(shutil.copy(first_list(small / GOOD), folder))
    with fits.open(path) as file:
        for hdu in file:
            for name, value in keywords.items():
                if value is None:
                    hdu.header.pop(name, None)
                else:
                    hdu.header[name] = value
        file.writeto(path, overwrite=True)
    code, said, error = command("exposure", folder, "--to", tmp_path / "maps")
    assert code != 0
    assert sentence in " ".join(said.split())
    assert "No exposure of observation" in " ".join(error.split())
    assert not (tmp_path / "maps").exists()
