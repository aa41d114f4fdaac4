"""Draw the pictures of the architecture and of the method, for `docs/generate.py`.

The rooms of the architecture have their places in `PLAN`. The arrows are the imports of the
package as they are, without those that follow from others. Equal code gives equal bytes, so that
a test can tell whether the pictures are up to date.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from random import Random
from typing import NamedTuple

import grimp
import numpy as np
from numpy.typing import NDArray

from exod.counts.bayes import Thresholds


class Room(NamedTuple):
    """Where a package stands: columns and rows of the plan, and what it is in a few words."""

    x: float
    y: float
    words: str
    kind: str
    width: float = 1.0


PLAN = {
    "cli": Room(2.55, 0, "the commands: parse, call, print", "use", 6.1),
    "web": Room(6.2, 0.2, "pages, API,/VO protocols", "use"),
    "stages": Room(3.1, 1.12, "read, map, commit: in the order of the data flow", "use", 7.2),
    "pps": Room(0, 6, "pipeline files/of XMM-Newton", "files"),
    "plots": Room(4.2, 2, "the pictures", "files"),
    "astromon": Room(6.2, 2, "astrometry of/Chandra", "files"),
    "catalogue": Room(4.2, 3, "releases, words/of the report", "files"),
    "counterparts": Room(6.2, 3, "catalogues to/match with", "files"),
    "tablefiles": Room(6.2, 4, "tables as files", "files"),
    "archive": Room(5.05, 4.6, "committed tables,/lazy dataframes", "files"),
    "completeness": Room(1.2, 3, "how faint a burst/is found", "science"),
    "simulate": Room(1.2, 5, "event lists with/known truth", "science"),
    "search": Room(2.2, 4, "cells, windows,/regions, positions", "science"),
    "astrometry": Room(3.95, 4, "attitudes, frames,/offsets", "science"),
    "sources": Room(2.2, 3, "clusters, features,/flags, filters", "science"),
    "sensitivity": Room(2.2, 5, "false alarms,/counts needed", "science"),
    "counts": Room(2.7, 6, "cube, expectation,/significance", "science"),
    "observation": Room(2.2, 7, "events, exposures,/good time", "science"),
    "instruments": Room(1.7, 8, "EPIC pn and MOS,/the PSF", "science"),
    "sky": Room(2.7, 8, "plane, sphere,/HEALPix", "science"),
    "scheduler": Room(5.0, 7.4, "tasks here or/on a cluster", "files"),
    "schemas": Room(0.9, 9.2, "every column, once;/users' conditions", "base", 1.4),
    "files": Room(2.6, 9.2, "storage, whole files", "base", 1.4),
    "config": Room(4.3, 9.2, "settings", "base", 1.4),
    "errors": Room(6.0, 9.2, "sentences for people", "base", 1.4),
}
"""The floor plan. A slash in the words begins a line."""

COLOURS = {
    "use": ("#fdf1dc", "#b7791f"),
    "science": ("#e4eefb", "#2b6cb0"),
    "files": ("#e6f4ea", "#2f855a"),
    "base": ("#efefef", "#6b6b6b"),
}
"""Fill and outline of each kind of room."""

KINDS = (
    ("use", "what people start"),
    ("science", "science: arrays in, arrays out"),
    ("files", "files, tasks and outputs"),
    ("base", "foundations"),
)

_COLUMN, _ROW, _BOX, _HEIGHT = 142.0, 84.0, 136.0, 60.0
_INK, _FAINT, _RED = "#222222", "#8a8a8a", "#c53030"
_FONT = "font-family='Helvetica, Arial, DejaVu Sans, sans-serif'"


def import_arrows() -> list[tuple[str, str]]:
    """Which package imports which, without the arrows that follow from others."""
    graph = grimp.build_graph("exod", exclude_type_checking_imports=True, cache_dir=None)
    arrows: dict[str, set[str]] = {}
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            source, target = (name.split(".")[1:2] for name in (module, imported))
            if source and target and source not in (target, ["__main__"]):
                arrows.setdefault(source[0], set()).add(target[0])

    def below(name: str) -> set[str]:
        near = arrows.get(name, set())
        return near.union(*(below(other) for other in near))

    return sorted(
        (source, target)
        for source, targets in arrows.items()
        for target in targets
        if not any(target in below(other) for other in targets)
    )


def architecture() -> str:
    """The rooms of the package and the imports among them, as SVG."""
    arrows = import_arrows()
    missing = {name for arrow in arrows for name in arrow} - set(PLAN)
    if missing:
        raise SystemExit(f"{', '.join(sorted(missing))}: no place in PLAN of docs/pictures.py.")
    parts = []
    for source, target in arrows:
        start, end = PLAN[source], PLAN[target]
        if end.kind != "base":
            if end.y <= start.y:
                raise SystemExit(f"{source} imports {target}, which does not stand below it.")
            parts.append(_import(start, end))
    parts += [_room(name, room) for name, room in PLAN.items()]
    for number, (kind, words) in enumerate(KINDS):
        x, y = 40.0 + 255.0 * number, 10.25 * _ROW + 20.0
        fill, line = COLOURS[kind]
        parts.append(_rectangle(x, y, 18, 18, fill, line, 4))
        parts.append(_text(x + 26, y + 14, words, 15, anchor="start"))
    return _svg(1050, 905, "The packages of exod and their imports", parts)


def _centre(room: Room) -> tuple[float, float]:
    return 86.0 + room.x * _COLUMN, 44.0 + room.y * _ROW


def _room(name: str, room: Room) -> str:
    x, y = _centre(room)
    width = _BOX + (room.width - 1.0) * _COLUMN
    fill, line = COLOURS[room.kind]
    lines = room.words.split("/")
    top = y - _HEIGHT / 2
    parts = [_rectangle(x - width / 2, top, width, _HEIGHT, fill, line, 7)]
    parts.append(_text(x, top + (19 if len(lines) > 1 else 25), name, 17, weight="bold"))
    first = top + (36 if len(lines) > 1 else 45)
    parts += [_text(x, first + 16 * n, words, 14) for n, words in enumerate(lines)]
    return "\n".join(parts)


def _import(start: Room, end: Room) -> str:
    """An arrow from the lower edge of a room to the upper edge of another."""
    (x0, y0), (x1, y1) = _centre(start), _centre(end)
    if start.width > 2:  # A roof: arrows fall straight from it.
        x0 = x1
    y0, y1 = y0 + _HEIGHT / 2, y1 - _HEIGHT / 2 - 3
    if end.width > 2:
        x1 = x0
    shift = max(-40.0, min(40.0, (x1 - x0) * 0.28))
    x0, x1 = x0 + shift, x1 - shift
    bend = min(60.0, (y1 - y0) * 0.5)
    path = (
        f"M{x0:.1f} {y0:.1f} C{x0:.1f} {y0 + bend:.1f} {x1:.1f} {y1 - bend:.1f} {x1:.1f} {y1:.1f}"
    )
    return f"<path d='{path}' fill='none' stroke='{_FAINT}' stroke-width='1.6' {_HEAD}/>"


_HEAD = "marker-end='url(#head)'"
_MARKER = (
    "<defs><marker id='head' viewBox='0 0 10 10' refX='8' refY='5' markerWidth='7' "
    "markerHeight='7' orient='auto'><path d='M0 0 L10 5 L0 10 z' fill='#6b6b6b'/></marker></defs>"
)


def _svg(width: int, height: int, title: str, parts: Iterable[str]) -> str:
    return "\n".join(
        (
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' "
            f"width='{width}' height='{height}' {_FONT}>",
            f"<title>{title}</title>",
            _MARKER,
            f"<rect width='{width}' height='{height}' fill='white'/>",
            *parts,
            "</svg>\n",
        )
    )


def _rectangle(
    x: float,
    y: float,
    width: float,
    height: float,
    fill: str,
    line: str = "none",
    round_: float = 0,
) -> str:
    return (
        f"<rect x='{x:.1f}' y='{y:.1f}' width='{width:.1f}' height='{height:.1f}' "
        f"rx='{round_:g}' fill='{fill}' stroke='{line}'/>"
    )


def _text(
    x: float, y: float, words: str, size: int, anchor: str = "middle", weight: str = "normal"
) -> str:
    return (
        f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' text-anchor='{anchor}' "
        f"font-weight='{weight}' fill='{_INK}'>{words}</text>"
    )


def _lines(points: Sequence[tuple[float, float]], colour: str, width: float = 1.5) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='{width:g}'/>"


SIDE, FRAMES = 8, 12
SOURCE, BURST = (2, 5), (5, 2)
"""Cells (y, x) of the constant source and of the burst in the small field of the picture."""
BURST_FRAME, FLARE = 4, range(8, 11)
_BLUE, _YELLOW = "#2b6cb0", "#fbe3a1"


class Field(NamedTuple):
    """A small field: photons (frame, y, x), counts and expectation, shape (frame, y, x)."""

    photons: list[tuple[int, float, float]]
    n: NDArray[np.int64]
    mu: NDArray[np.float64]


def small_field() -> Field:
    """A constant source, a burst, and a flare of the background, photon by photon."""
    random = Random(11)  # noqa: S311
    level = np.array([3.0 if frame in FLARE else 1.0 for frame in range(FRAMES)])
    mu = np.empty((FRAMES, SIDE, SIDE))
    mu[:] = 0.35 * level[:, None, None]
    mu[:, *SOURCE] += 4.0
    true = mu.copy()
    true[BURST_FRAME, *BURST] += 11.0
    photons = []
    for (frame, y, x), rate in np.ndenumerate(true):
        waited = random.expovariate(1.0)
        while waited < rate:
            photons.append((frame, y + random.random(), x + random.random()))
            waited += random.expovariate(1.0)
    n = np.zeros(mu.shape, np.int64)
    for frame, y, x in photons:
        n[frame, int(y), int(x)] += 1
    return Field(photons, n, mu)


def method() -> str:
    """The way from photons to the catalogue, as SVG; the cells are those of `small_field`."""
    field = small_field()
    panels = (
        ("photons", "event lists: selected,/merged, hot pixels removed", _photons(field)),
        ("count cube", "counts n in cells/of sky and time", _stack(field.n, 6.0)),
        ("expectation", "mu: background × its level/+ constant sources", _stack(field.mu, 6.0)),
        ("significance", "Bayes factor of n given mu:/peaks and eclipses", _significance(field)),
        ("regions", "significant cells/that touch", _regions(field)),
        ("light curves", "n and mu of a region;/start, stop, position", _light_curve(field)),
        ("sources", "regions at one place,/in all observations", _sources()),
        ("catalogue", "features, flags, counterparts,/a name that stays", _table()),
    )
    parts = []
    for number, (title, words, drawing) in enumerate(panels):
        x, y = 22.0 + 260.0 * (number % 4), 18.0 + 250.0 * (number // 4)
        parts.append(f"<g transform='translate({x:g} {y:g})'>")
        parts.append(_rectangle(0, 0, 226, 226, "#fafafa", "#d8d8d8", 9))
        parts += drawing
        parts.append(_text(113, 172, f"{number + 1}. {title}", 16, weight="bold"))
        parts += [_text(113, 192 + 16 * n, line, 13) for n, line in enumerate(words.split("/"))]
        parts.append("</g>")
        if number % 4 < 3:
            parts.append(_arrow((x + 229, y + 113), (x + 256, y + 113)))
    parts.append(
        "<path d='M915 246 V256 H135 V264' fill='none' "
        f"stroke='{_FAINT}' stroke-width='2' {_HEAD}/>"
    )
    return _svg(1050, 512, "The method: from photons to the catalogue", parts)


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    return _lines([start, end], _FAINT, 2.0).replace("/>", f" {_HEAD}/>")


def _photons(field: Field) -> list[str]:
    size, left, top = 17.0, 45.0, 14.0
    return [_rectangle(left, top, SIDE * size, SIDE * size, "white", "#d8d8d8")] + [
        f"<circle cx='{left + x * size:.1f}' cy='{top + y * size:.1f}' r='1.5' "
        f"fill='{_RED if frame == BURST_FRAME and (int(y), int(x)) == BURST else _BLUE}' "
        "fill-opacity='0.65'/>"
        for frame, y, x in field.photons
    ]


def _shade(value: float, most: float) -> str:
    """White to blue."""
    share = min(1.0, max(0.0, float(value) / most)) ** 0.7
    dark, light = (43, 108, 176), (250, 252, 255)
    return "#" + "".join(
        f"{round(b + (a - b) * share):02x}" for a, b in zip(dark, light, strict=True)
    )


def _image(image: NDArray, left: float, top: float, size: float, most: float) -> list[str]:
    return [
        _rectangle(left + x * size, top + y * size, size, size, _shade(value, most), "#e3e3e3")
        for (y, x), value in np.ndenumerate(image)
    ]


def _stack(cube: NDArray, most: float) -> list[str]:
    """Four frames one before the other, the latest behind."""
    parts: list[str] = []
    for place, frame in enumerate((9, 6, BURST_FRAME)):
        parts += _image(cube[frame], 88.0 - 26.0 * place, 12.0 + 20.0 * place, 13.0, most)
    parts.append(_arrow((150, 156), (202, 116)))
    parts.append(_text(186, 146, "time", 12))
    return parts


def _significance(field: Field) -> list[str]:
    """Counts against expectation, and the least counts that are significant at 3 sigma."""
    left, top, width, height = 48.0, 14.0, 150.0, 116.0
    most_mu, most_n = 6.0, 20.0

    def place(mu: float, n: float) -> tuple[float, float]:
        return left + width * mu / most_mu, top + height * (1 - n / most_n)

    rules = Thresholds(3.0)
    grid = np.linspace(0.1, most_mu, 40)
    edge = [place(mu, n) for mu, n in zip(grid, rules.least_peak(grid), strict=True) if n <= most_n]
    peak = rules.is_peak(field.n, field.mu)
    parts = [_lines([(left, top), (left, top + height), (left + width, top + height)], _INK)]
    pairs = sorted(
        {
            (m, n, p)
            for m, n, p in zip(
                field.mu.ravel().tolist(),
                field.n.ravel().tolist(),
                peak.ravel().tolist(),
                strict=True,
            )
        }
    )
    for mu, n, significant in pairs:
        x, y = place(mu, n)
        colour = _RED if significant else _BLUE
        parts.append(
            f"<circle cx='{x:.1f}' cy='{y:.1f}' r='{4 if significant else 2.6}' fill='{colour}'/>"
        )
    parts.append(_lines(edge, _RED))
    parts.append(_text(left + width - 8, top + height + 18, "mu", 13))
    parts.append(_text(left - 14, top + 10, "n", 13))
    parts.append(_text(left + 112, top + 30, "threshold", 12))
    return parts


def _regions(field: Field) -> list[str]:
    size, left, top = 17.0, 45.0, 14.0
    found = Thresholds(3.0).is_peak(field.n, field.mu).any(axis=0)
    parts = _image(field.n.sum(axis=0), left, top, size, 60.0)
    for y, x in np.argwhere(found):
        parts.append(
            f"<rect x='{left + x * size - 2:.1f}' y='{top + y * size - 2:.1f}' "
            f"width='{size + 4:g}' height='{size + 4:g}' "
            f"fill='none' stroke='{_RED}' stroke-width='2.5'/>"
        )
    return parts


def _light_curve(field: Field) -> list[str]:
    left, top, width, height, most = 24.0, 18.0, 178.0, 118.0, 16.0
    step = width / FRAMES
    parts = [_rectangle(left + step * FLARE.start, top, step * len(FLARE), height, _YELLOW)]
    for values, colour, thick in ((field.mu, _FAINT, 1.5), (field.n, _BLUE, 2.0)):
        points = []
        for frame, value in enumerate(values[:, *BURST].tolist()):
            y = top + height * (1 - value / most)
            points += [(left + step * frame, y), (left + step * (frame + 1), y)]
        parts.append(_lines(points, colour, thick))
    x, n = left + step * (BURST_FRAME + 0.5), int(field.n[BURST_FRAME, *BURST])
    parts.append(
        f"<circle cx='{x:.1f}' cy='{top + height * (1 - n / most):.1f}' r='4' fill='{_RED}'/>"
    )
    parts.append(_lines([(left, top), (left, top + height), (left + width, top + height)], _INK))
    parts.append(_text(left + step * 9.5, top + 14, "flare", 12))
    return parts


def _sources() -> list[str]:
    """Positions with errors of three sources, seen several times each."""
    random = Random(5)  # noqa: S311
    parts: list[str] = []
    for x, y, times in ((66.0, 50.0, 4), (160.0, 62.0, 2), (104.0, 114.0, 3)):
        places = [(x + random.gauss(0, 7), y + random.gauss(0, 7)) for _ in range(times)]
        parts.append(f"<circle cx='{x:g}' cy='{y:g}' r='30' fill='#e4eefb' stroke='none'/>")
        parts += [
            f"<circle cx='{a:.1f}' cy='{b:.1f}' r='10' fill='none' stroke='{_BLUE}'/>"
            for a, b in places
        ]
        a, b = (sum(axis) / times for axis in zip(*places, strict=True))
        parts.append(_lines([(a - 6, b), (a + 6, b)], _RED, 2.0))
        parts.append(_lines([(a, b - 6), (a, b + 6)], _RED, 2.0))
    return parts


def _table() -> list[str]:
    rows = (
        ("name", "seen", "match"),
        ("EXOD J1734-32", "4", "star"),
        ("EXOD J1735-32", "2", "AGN"),
        ("EXOD J1735-31", "3", "none"),
    )
    parts = [_rectangle(14, 22, 198, 26, "#e4eefb")]
    for number, row in enumerate(rows):
        y = 40.0 + 28.0 * number
        weight = "normal" if number else "bold"
        for x, words in zip((20.0, 126.0, 168.0), row, strict=True):
            parts.append(_text(x, y, words, 11, anchor="start", weight=weight))
        parts.append(_lines([(14, y + 9), (212, y + 9)], "#c9c9c9", 1.0))
    return parts


_ROLL = 28.0
"""Roll angle of the drawing of angles, degrees."""


def angles() -> str:
    """Axes, angles and signs of offsets and frames, as SVG; north is up, east to the left."""
    panels = (
        ("axes", "Y = cos r E + sin r N/Z = −sin r E + cos r N", _axes()),
        ("angles", "y = atan2(v·Y, v·X)/z = atan2(v·Z, v·X)", _body_angles()),
        ("offset", "X-ray minus catalogue,/along Y and Z", _offset()),
        ("frame", "what is added to measured places:/a shift, a turn from E to N", _frame()),
    )
    parts = []
    for number, (title, words, drawing) in enumerate(panels):
        parts.append(f"<g transform='translate({22 + 260 * number} 18)'>")
        parts.append(_rectangle(0, 0, 226, 226, "#fafafa", "#d8d8d8", 9))
        parts += drawing
        parts.append(_text(113, 176, title, 16, weight="bold"))
        parts += [_text(113, 196 + 16 * n, line, 13) for n, line in enumerate(words.split("/"))]
        parts.append("</g>")
    return _svg(1050, 262, "Angles and signs of offsets and frames", parts)


def _along(start: tuple[float, float], degrees: float, length: float) -> tuple[float, float]:
    """A point so far from another; degrees count from east (left) towards north (up)."""
    angle = np.radians(degrees)
    return start[0] - length * float(np.cos(angle)), start[1] - length * float(np.sin(angle))


def _pointer(
    start: tuple[float, float], end: tuple[float, float], colour: str, dashes: str = ""
) -> str:
    style = f"stroke-dasharray='{dashes}' {_HEAD}/>" if dashes else f"{_HEAD}/>"
    return _lines([start, end], colour, 2.0).replace("/>", f" {style}")


def _turn(centre: tuple[float, float], radius: float, first: float, last: float) -> str:
    """A part of a circle with a head, from one direction to another."""
    points = [_along(centre, degrees, radius) for degrees in np.linspace(first, last, 25)]
    return _lines(points, _RED, 1.6).replace("/>", f" {_HEAD}/>")


def _axes() -> list[str]:
    centre = (132.0, 118.0)
    parts = []
    for degrees, words, colour in (
        (0.0, "E", _FAINT),
        (90.0, "N", _FAINT),
        (_ROLL, "Y", _BLUE),
        (90.0 + _ROLL, "Z", _BLUE),
    ):
        parts.append(_pointer(centre, _along(centre, degrees, 86.0), colour))
        x, y = _along(centre, degrees, 99.0)
        parts.append(_text(x, y + 5, words, 14, weight="bold"))
    for first in (0.0, 90.0):
        parts.append(_turn(centre, 58.0, first + 3, first + _ROLL - 4))
        x, y = _along(centre, first + _ROLL / 2, 71.0)
        parts.append(_text(x, y + 4, "r", 14))
    parts.append(f"<circle cx='{centre[0]:g}' cy='{centre[1]:g}' r='4' fill='{_INK}'/>")
    parts.append(_text(centre[0] + 30, centre[1] + 20, "pointing", 12))
    return parts


def _body_angles() -> list[str]:
    centre = (34.0, 140.0)
    parts = []
    for end, words, colour in (
        ((34.0, 30.0), "Y", _BLUE),
        ((190.0, 140.0), "X, pointing", _BLUE),
        ((170.0, 62.0), "v", _INK),
    ):
        parts.append(_pointer(centre, end, colour))
        shift = {"Y": (16, 8), "v": (8, -6)}.get(words, (-36, -10 + 26))
        parts.append(_text(end[0] + shift[0], end[1] + shift[1], words, 14, weight="bold"))
    parts.append(_lines([(170.0, 62.0), (170.0, 140.0)], _FAINT, 1.2))
    parts.append(_text(190.0, 104.0, "v·Y", 12))
    parts.append(_turn(centre, 70.0, 180.0 - 2, 180.0 - 26))
    parts.append(_text(120.0, 122.0, "y", 15))
    return parts


def _star(x: float, y: float) -> str:
    points = [
        _along((x, y), 90.0 + 36.0 * number, 9.0 if number % 2 == 0 else 4.0)
        for number in range(10)
    ]
    path = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
    return f"<polygon points='{path}' fill='{_YELLOW}' stroke='{_INK}'/>"


def _offset() -> list[str]:
    star = (152.0, 130.0)
    corner = _along(star, _ROLL, 104.0)
    source = _along(corner, 90.0 + _ROLL, 54.0)
    sides = (star, corner), (corner, source)
    middles = [((a[0] + b[0]) / 2, (a[1] + b[1]) / 2) for a, b in sides]
    return [
        _lines([star, corner], _BLUE, 1.5),
        _lines([corner, source], _BLUE, 1.5),
        _text(middles[0][0] - 8, middles[0][1] + 20, "dy", 14),
        _text(middles[1][0] - 16, middles[1][1], "dz", 14),
        _pointer(star, source, _RED),
        _text(130.0, 76.0, "dr", 14),
        _star(*star),
        _text(star[0] + 6, star[1] + 25, "catalogue", 12),
        f"<circle cx='{source[0]:.1f}' cy='{source[1]:.1f}' r='6' fill='{_RED}'/>",
        _text(source[0] - 8, source[1] - 13, "X-ray", 12),
    ]


def _frame() -> list[str]:
    centre = (112.0, 84.0)
    parts = [f"<circle cx='{centre[0]:g}' cy='{centre[1]:g}' r='4' fill='{_INK}'/>"]
    for degrees, distance in ((15.0, 82.0), (125.0, 66.0), (195.0, 82.0), (262.0, 44.0)):
        measured = _along(centre, degrees, distance)
        true = _along(centre, degrees + 24.0, distance)
        true = (true[0] - 6.0, true[1] - 4.0)
        parts.append(_pointer(measured, true, _FAINT, "4 3"))
        parts.append(f"<circle cx='{measured[0]:.1f}' cy='{measured[1]:.1f}' r='5' fill='{_RED}'/>")
        parts.append(_star(*true))
    parts.append(_turn(centre, 30.0, 5.0, 75.0))
    parts.append(_text(centre[0] + 32, centre[1] + 5, "pointing", 12))
    return parts
