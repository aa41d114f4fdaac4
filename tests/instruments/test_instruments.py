"""Instruments: what is asked of them, who may name them, and one that nobody knew before."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.strategies import make_exposure

import exod
from exod.config import Config
from exod.errors import ExposureRejected, InputError
from exod.instruments import INSTRUMENTS, Instrument, Observatory, instrument_of
from exod.instruments.epic_mos import RESPONSE_EPOCHS
from exod.instruments.king import KingProfile
from exod.observation.events import EventList, select_events
from exod.observation.hotpixels import find_hot_pixels, hot_pixel_mask
from exod.observation.subsets import merge_subset
from exod.search.subset import search_subset
from exod.sky.plane import TangentPlane

PACKAGE = Path(exod.__file__).parent
ROOMS = ("instruments", "simulate", "pps")
"""The packages that may name cameras."""


def test_names():
    assert all(instrument_of(name).name == name for name in INSTRUMENTS)
    for name in ("RGS1", "", "epn"):
        with pytest.raises(InputError, match=r"no instrument .* EPN, EMOS1, EMOS2"):
            instrument_of(name)


@pytest.mark.parametrize("instrument", INSTRUMENTS.values(), ids=lambda item: item.name)
def test_what_every_instrument_tells(instrument):
    groups = instrument.dropout_groups
    assert len({len(group) for group in groups}) <= 1
    assert {ccd for group in groups for ccd in group} <= set(range(1, instrument.n_ccds + 1))
    assert len({ccd for group in groups for ccd in group}) == sum(map(len, groups))
    assert instrument.psf.encircled(instrument.psf.reach_arcsec, 1.5) == pytest.approx(1.0)
    assert instrument.observatory.position_psf.slope == 1.5
    assert instrument.submodes
    styles = [(item.colour, item.line) for item in INSTRUMENTS.values()]
    assert len(set(styles)) == len(styles)


# --- who names cameras -----------------------------------------------------------------------


CAMERA = re.compile(
    r"is_pn|\b(EPN|EMOS\d?|pn|PN|MOS\d?|M1|M2)(?![A-Za-z])|(?<![A-Z])(PN|MOS)_|_(EPN|EMOS)"
)


def named(source: str) -> list[str]:
    """Cameras in names and texts of a module, not in its docstrings."""
    tree = ast.parse(source)
    blocks = (getattr(node, "body", None) for node in ast.walk(tree))
    lines = (line for block in blocks if isinstance(block, list) for line in block)
    prose = {id(line.value) for line in lines if isinstance(line, ast.Expr)}
    found = []
    for node in ast.walk(tree):
        texts = [getattr(node, name, None) for name in ("id", "attr", "arg", "name", "asname")]
        if isinstance(node, ast.Constant) and id(node) not in prose:
            texts.append(node.value)
        found += [text for text in texts if isinstance(text, str) and CAMERA.search(text)]
    return found


@pytest.mark.parametrize(
    ("source", "n"),
    [
        ("x = 'EPN'", 1),
        ("camera.is_pn", 1),
        ("def f(is_pn=True): pass", 1),
        ("from exod.instruments import EMOS1", 1),
        ("print('the pn camera')", 1),
        ("PN_QUADRANTS = 1", 1),
        ("x = row['rate_EMOS1']", 1),
        ('def f():\n    """Of EPN and MOS."""', 0),
        ("x = 1\n'''Of EPN and MOS.'''", 0),
        ("x = OPEN + open_pn", 0),
        ("x = 'Mostly', 'MOSAIC', 'spn'", 0),
    ],
)
def test_names_are_seen(source, n):
    assert len(named(source)) == n


def test_nobody_else_names_a_camera():
    """What differs among cameras is asked of an `Instrument`."""
    guilty = {
        str(path.relative_to(PACKAGE)): found
        for path in PACKAGE.rglob("*.py")
        if path.relative_to(PACKAGE).parts[0] not in ROOMS
        and (found := named(path.read_text(encoding="utf-8")))
    }
    assert guilty == {}


def test_science_has_no_branch_for_a_mission():
    """What differs among missions is asked of an `Observatory`, too."""
    word = re.compile(r"chandra|\bacis\b|\bxmm\b", re.I)
    rooms = ("observation", "counts", "sensitivity", "search", "sources", "vetting", "completeness")
    guilty = {}
    for path in (path for room in rooms for path in (PACKAGE / room).rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        tests = [node.test for node in ast.walk(tree) if isinstance(node, ast.If | ast.IfExp)]
        tests += [node.left for node in ast.walk(tree) if isinstance(node, ast.Compare)]
        if found := [ast.unparse(test) for test in tests if word.search(ast.unparse(test))]:
            guilty[str(path)] = found
    assert guilty == {}


# --- an instrument of another observatory ----------------------------------------------------


@dataclass(frozen=True)
class Spread:
    """A small PSF."""

    reach_arcsec: float = 60.0

    def encircled(self, radius_arcsec, energy_kev, off_axis_arcmin=0.0):
        profile = KingProfile(1.0, 2.0)
        share = profile.fraction(radius_arcsec) / profile.fraction(self.reach_arcsec)
        return np.minimum(share, 1.0)


class MadeUp:
    """Four CCDs of 1024 pixels squared of half an arcsec; two drop out together."""

    name, colour, line = "SXT", "#000000", "-"
    psf, core = Spread(), KingProfile(1.0, 2.0)
    observatory = Observatory("FAR", "Far", "FAR", KingProfile(1.0, 1.5), 0.4, ((psf, 1.0),))
    submodes = frozenset({"FAINT"})
    sky_extent = 4096
    n_ccds, n_columns, n_rows = 4, 1024, 1024
    pixel_arcsec, frame_time = 0.5, 3.2
    dropout_groups = ((1, 2), (3, 4))
    flag_mask = 1

    def is_good(self, events, flag_mask):
        """Grades 0, 2, 3, 4 and 6 between 0.5 and 7 keV."""
        good = (events.pi >= 500) & (events.pi <= 7000) & ((events.flag & flag_mask) == 0)
        return good & np.isin(events.pattern, (0, 2, 3, 4, 6))

    def is_usable(self, events, submode):
        return events.rawy > 2


PLANE = TangentPlane(2048.5, 2048.5, 150.0, 2.0, -0.5 / 3600, 0.5 / 3600)
LENGTH = 5000.0
BURST = (150.02, 2.03)
START = 1234.0


@pytest.fixture
def camera(monkeypatch) -> Instrument:
    made = MadeUp()
    monkeypatch.setattr("exod.instruments.INSTRUMENTS", {**INSTRUMENTS, made.name: made})
    return made


def sky_events(generator, n=60_000, burst=60) -> EventList:
    """A flat field on the four CCDs, with a burst of ten seconds and events of every grade."""
    x, y = generator.integers(1, 4097, (2, n))
    time = generator.uniform(0, LENGTH, n)
    off = (x <= 2048) & (time > 3000.0) & (time < 3200.0)  # CCDs 1 and 2 drop out
    time[off] = generator.uniform(0, 3000.0, off.sum())
    bx, by = PLANE.to_pixel(*BURST)
    near = KingProfile(1.0, 2.0).sample(generator, burst) / 0.5
    x = np.append(x, np.rint(bx + near[0]).astype(int))
    y = np.append(y, np.rint(by + near[1]).astype(int))
    n += burst
    return EventList(
        time=np.append(time, generator.uniform(START, START + 10.0, burst)),
        x=x.astype("i4"),
        y=y.astype("i4"),
        pi=generator.integers(300, 8000, n).astype("i2"),
        ccdnr=(1 + 2 * (x > 2048) + (y > 2048)).astype("u1"),
        rawx=(x % 1024).astype("i2"),
        rawy=(y % 1024).astype("i2"),
        pattern=generator.integers(0, 8, n).astype("u1"),
        flag=(generator.random(n) < 0.05).astype("i4"),
    )


@pytest.mark.parametrize("preset", ["published", "deep"])
def test_a_third_instrument(camera, preset):
    """Selected, searched and located without a word of it in observation, counts and search."""
    exposure = replace(
        make_exposure(),
        instrument=camera.name,
        submode="FAINT",
        plane=PLANE,
        sky_extent=camera.sky_extent,
        flag_mask=camera.flag_mask,
    )
    with pytest.raises(ExposureRejected, match="submode PrimeFullWindow"):
        select_events(replace(exposure, submode="PrimeFullWindow"), EventList.empty())
    events = sky_events(np.random.default_rng(1))
    selected = select_events(exposure, events)
    assert set(np.unique(selected.events.pattern)) == {0, 2, 3, 4, 6}
    assert selected.events.pi.max() <= 7000
    hot = find_hot_pixels(selected.events, camera)
    selected = replace(selected, events=selected.events.take(~hot_pixel_mask(selected.events, hot)))
    subset = merge_subset(0, [selected])
    config = Config.load(
        overrides=["cube.t_bin=[10, 100]", "cube.bands=[[0.5, 7.0]]"], preset=preset
    )
    for run in search_subset(exposure.obsid, subset, pd.DataFrame(), config):
        assert run.cube.grid.size_arcsec == pytest.approx(config.cube.size_arcsec, rel=0.01)
        assert run.cube.grid.n * run.cube.grid.size_arcsec == pytest.approx(2048.0)
        off = run.camera_off[int(3050 / run.t_bin) : int(3150 / run.t_bin)]
        assert off.mean() > 0.7
        assert run.camera_off.mean() < 0.1
        (found,) = (r for r in run.regions if run.cells.is_peak[r.region.members].any())
        ra, dec = PLANE.to_sky(found.position.x, found.position.y)
        offset = np.hypot((ra - BURST[0]) * np.cos(np.deg2rad(dec)), dec - BURST[1]) * 3600
        assert offset < 3 * found.position.error_arcsec < 3.0
        assert np.isfinite(run.needed.medians).all()


@pytest.mark.parametrize("name", ["EMOS1", "EMOS2"])
def test_response_matrices_of_mos_begin_with_their_epochs(name):
    """Each epoch has its name from its first day on, and none is named where it is not known."""
    camera = INSTRUMENTS[name]
    for number, start in enumerate(RESPONSE_EPOCHS, start=1):
        for mjd, epoch in ((start - 1, number), (start, number + 1)):
            found = camera.response_file("PrimePartialW2", mjd, 300, 5.0)
            assert found == f"m{name[-1]}_e{epoch}_im_pall_o.rmf"
    for submode, arcmin in (
        ("FastUncompressed", 5.0),
        ("PrimeFullWindow", 0.5),
        ("PrimeFullWindow", np.nan),
    ):
        assert camera.response_file(submode, 60000.0, 300, arcmin) == ""


def test_response_matrices_of_pn_are_of_rows():
    camera = INSTRUMENTS["EPN"]
    names = [camera.response_file("PrimeFullWindow", 60000.0, row, 0.0) for row in (0, 1, 20, 200)]
    assert names == ["", *(f"epn_e3_ff20_sdY{band}.rmf" for band in (0, 1, 9))]
