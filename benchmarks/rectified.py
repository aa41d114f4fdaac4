"""Corrected positions against raw ones: circles, counterparts, sources, names, with known truth.

Run ``python -m benchmarks.rectified --data ../shared/data``, where ``obsmli`` holds source lists of
the pipeline. Fields have the sources and errors of these lists; each is observed several times, off
by a frame of one of the lists, and 45 of 53 observations know theirs as well as the lists do.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.archive_scale import publish
from benchmarks.clustering import made_tables
from exod.archive import Archive, open_archive
from exod.archive.increments import deriving, write_part
from exod.archive.parquet import to_arrow
from exod.astrometry.attitude import radec_to_yagzag, yagzag_to_radec
from exod.astrometry.rectification import Frame, header_frame
from exod.config import Config
from exod.counterparts.matching import Positions, match_rows
from exod.instruments.epic import XMM
from exod.pps import read_listed_sources
from exod.scheduler.plan import Plan
from exod.schemas import DERIVED, IMAGES, OBSERVATIONS, POSITIONS, REGIONS, RUNS
from exod.sky.sphere import angle, unit_vectors
from exod.stages.derive.cluster import cluster_archive
from exod.stages.derive.rectify.calibration import DOCUMENTED, with_circles

RESULTS = Path(__file__).with_name("results_rectified.md")
HERE = Plan("sync")
OBSERVED = 4
"""Observations of each field."""

DETECTED = 0.6
"""Share of the sources of a field that an observation detects, each in two runs."""

COUNTERPARTS = 0.5
"""Share of sources in the catalogue, which has others by chance, a number in a square arcmin."""

CHANCE = (2.0, 10.0)
RADIUS_ARCSEC = 5.0
MORE_ARCSEC = 0.28
"""What errors of lists lack, radial, as 4XMM and Gaia tell."""


@dataclass(frozen=True, eq=False)
class Field:
    """A source list: pointing, sources (ra_deg, dec_deg, error_arcsec), frame of its header."""

    obsid: str
    centre: tuple[float, float]
    sources: pd.DataFrame
    frame: Frame | None


def fields(folder: Path) -> list[Field]:
    """The point sources of the lists in a folder."""
    found = []
    for path in sorted(folder.glob("*OBSMLI*")):
        listed = read_listed_sources(path)
        sources = listed.sources[listed.sources["extent_arcsec"] == 0]
        known = sources["error_arcsec"].between(0, 4)
        centre = tuple(float(listed.keywords[name]) for name in ("RA_PNT", "DEC_PNT"))
        rows = sources.loc[known, ["ra_deg", "dec_deg", "error_arcsec"]].reset_index(drop=True)
        found.append(Field(path.name[1:11], centre, rows, header_frame(listed.keywords).frame))
    return found


def apart(one: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Distances of positions in arcsec."""
    chords = unit_vectors(*one) - unit_vectors(*other)
    return np.asarray(angle(np.linalg.norm(chords, axis=1)))


def observed(
    field: Field, frames: list[Frame], known: float, random: np.random.Generator
) -> pd.DataFrame:
    """Regions of an observation, as measured and corrected, with the number of their source."""
    centre = field.centre
    y, z = radec_to_yagzag(field.sources["ra_deg"], field.sources["dec_deg"], (*centre, 0.0))
    some = np.flatnonzero(random.random(len(y)) < DETECTED)
    error = field.sources["error_arcsec"].to_numpy()[some]
    true, told = (frames[i] for i in random.integers(0, len(frames), 2))
    turned = random.uniform(0, 2 * np.pi)
    shift = np.hypot(true.east_arcsec, true.north_arcsec) * np.array(
        [np.cos(turned), np.sin(turned)]
    )
    noise = random.normal(0, np.hypot(error, MORE_ARCSEC) / np.sqrt(2), (2, len(some)))
    back = Frame(*centre, 0.0, 0.0, -true.rotation_deg, np.zeros((3, 3)))
    place = (
        angle_[some] - by + more for angle_, by, more in zip((y, z), shift, noise, strict=True)
    )
    ra, dec = back.apply(*yagzag_to_radec(*place, (*centre, 0.0)))
    rows = pd.DataFrame({"truth": some, "ra_deg": ra, "dec_deg": dec, "source": "none"})
    rows["pos_err_arcsec"] = np.hypot(error, XMM.attitude_error_arcsec)
    rows["ra_corr_deg"], rows["dec_corr_deg"], rows["frame_err_arcsec"] = ra, dec, 0.0
    if random.random() < known:
        off = random.multivariate_normal(np.zeros(3), told.covariance)
        told = Frame(*centre, *(shift + off[:2]), true.rotation_deg + off[2], told.covariance)
        rows["ra_corr_deg"], rows["dec_corr_deg"] = told.apply(ra, dec)
        rows["frame_err_arcsec"], rows["source"] = told.error_arcsec(ra, dec), "header"
    return rows


def make(root: Path, field_list: list[Field], numbers: range, seed: int) -> pd.DataFrame:
    """An archive of observations with corrected positions; its regions with their truth."""
    archive, made = Archive.create(root, Config()), []
    frames = [field.frame for field in field_list if field.frame]
    for place, field in enumerate(field_list):
        for number in numbers:
            random = np.random.default_rng([seed, place, number])
            obsid = f"{number * 1000 + place:010d}"
            rows = observed(field, frames, len(frames) / len(field_list), random)
            rows = rows.loc[np.repeat(rows.index, 2)].reset_index(drop=True)
            runid = f"{obsid}_0_50_0.2_12"
            rows = rows.assign(
                obsid=obsid, runid=runid, detid=[f"{runid}_{i}" for i in range(len(rows))]
            )
            _commit(archive, field, rows, number, random)
            made.append(rows.assign(truth=rows["truth"] + 1000 * place))
    every = pd.concat(made, ignore_index=True)
    with deriving(archive.store, "frames", DERIVED["frames"]) as new:
        rows = with_circles(every.assign(pos_err_corr_arcsec=np.nan), DOCUMENTED)
        new.files.append(
            write_part(archive.store, new.folder, POSITIONS, rows[POSITIONS.schema.names], "all")
        )
        new.attempts = {entry.obsid: entry.attempt for entry in archive.entries()}
    return rows


def _commit(
    archive: Archive, field: Field, rows: pd.DataFrame, number: int, random: np.random.Generator
) -> None:
    obsid, runid = rows[["obsid", "runid"]].iloc[0]
    tables = made_tables(len(rows), random)
    names = {"obsid": obsid, "runid": runid}
    copied = {name: rows[name] for name in ("detid", "ra_deg", "dec_deg", "pos_err_arcsec")}
    about = {"ra_ref": field.centre[0], "dec_ref": field.centre[1]}
    date = {"date_obs": f"{2005 + number}-01-01T00:00:00"}
    tables["regions"] = tables["regions"].assign(**names, **copied, t_start=2e8 + 3e7 * number)
    for name, more in (("runs", names), ("images", names), ("observations", about | date)):
        tables[name] = tables[name].assign(**{"obsid": obsid, **more})
    arrow = {
        t.name: to_arrow(t, tables[t.name], obsid) for t in (REGIONS, RUNS, IMAGES, OBSERVATIONS)
    }
    publish(archive, obsid, arrow)


def clustered(archive: Archive, rule: str, *, corrected: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Sources and their regions, of raw or corrected positions."""
    cluster_archive(archive, HERE, rule=rule, rectified=corrected, keep_names=False)
    return archive.unique.compute(), archive.members.compute()


def measures(
    archive: Archive, rows: pd.DataFrame, truth: pd.DataFrame, catalogues: dict[float, Path]
) -> Iterator[tuple[str, str, str]]:
    """What was measured, of raw and of corrected positions."""
    by_detid = rows.set_index("detid")
    for rule in ("published", "friends"):
        texts: dict[str, list[str]] = {}
        for corrected in (False, True):
            sources, members = clustered(archive, rule, corrected=corrected)
            of = members.assign(truth=by_detid.loc[members["detid"], "truth"].to_numpy())
            for what, text in _of_sources(sources, of, truth, catalogues).items():
                texts.setdefault(f"{rule}: {what}", []).append(text)
        yield from ((what, raw, own) for what, (raw, own) in texts.items())


def _of_sources(
    sources: pd.DataFrame, of: pd.DataFrame, truth: pd.DataFrame, catalogues: dict[float, Path]
) -> dict[str, str]:
    pieces = of.groupby("truth")["region_num"].nunique()
    mixed = of.groupby("region_num")["truth"].nunique()
    pure = mixed.index[mixed == 1]
    first = of.drop_duplicates("region_num").set_index("region_num")["truth"]
    own = sources.set_index("region_num").loc[pure]
    true = truth.loc[first.loc[pure]]
    off = apart(
        (own["ra_deg"].to_numpy(), own["dec_deg"].to_numpy()),
        (true["ra_deg"].to_numpy(), true["dec_deg"].to_numpy()),
    )
    found = {
        "distance from the true position, median": f'{np.median(off):.2f}"',
        "distance, 90 %": f'{np.quantile(off, 0.9):.2f}"',
        "inside pos_err": _share(off <= own["pos_err_arcsec"]),
        "median pos_err": f'{own["pos_err_arcsec"].median():.2f}"',
        "true sources divided": _share(pieces > 1),
        "sources of several true ones": _share(mixed > 1),
    }
    for density, path in catalogues.items():
        found |= _counterparts(own, first.loc[pure].to_numpy(), density, path)
    return found


def _share(those: np.ndarray | pd.Series) -> str:
    """Per cent that are so, with the error of counting."""
    share = float(np.mean(those))
    error = np.sqrt(share * (1 - share) / len(those))
    return f"{100 * share:.2f} ± {100 * error:.2f} %"


def _counterparts(
    own: pd.DataFrame, true: np.ndarray, density: float, path: Path
) -> dict[str, str]:
    """How many of those with a counterpart have it as the nearest row, and how many others."""
    catalogue = pd.read_parquet(path)
    here = Positions(own["ra_deg"].to_numpy(), own["dec_deg"].to_numpy())
    there = Positions(catalogue["ra"].to_numpy(), catalogue["dec"].to_numpy())
    every = match_rows(here, there, RADIUS_ARCSEC)
    # The radius that holds 99 %, of a circle that holds 63 %.
    circle = own["pos_err_arcsec"].to_numpy()[every["source"]] * np.sqrt(-np.log(0.01))
    has = np.isin(true, catalogue["truth"])
    found = {}
    for within, met in (
        (f'nearest within {RADIUS_ARCSEC:g}"', every),
        ("nearest within the 99 % circle", every[every["sep_arcsec"] <= circle]),
    ):
        right = catalogue["truth"].to_numpy()[met["row"]] == true[met["source"]]
        title = f"{density:g} chance rows in a square arcmin, {within}"
        found[f"{title}: sources with their counterpart"] = _share(
            np.isin(np.flatnonzero(has), met["source"][right])
        )
        found[f"{title}: matches that are false"] = _share(~right)
    return found


def catalogue_of(truth: pd.DataFrame, density: float, random: np.random.Generator) -> pd.DataFrame:
    """Rows where sources truly are, and others by chance within 17 arcmin of each field."""
    has = truth[random.random(len(truth)) < COUNTERPARTS]
    rows = [pd.DataFrame({"ra": has["ra_deg"], "dec": has["dec_deg"], "truth": has.index})]
    for centre, _ in truth.groupby(["centre_ra", "centre_dec"]):
        n = random.poisson(density * 34.0**2)
        ra, dec = yagzag_to_radec(*random.uniform(-1020, 1020, (2, n)), (*centre, 0.0))
        rows.append(pd.DataFrame({"ra": ra, "dec": dec, "truth": -1}))
    return pd.concat(rows, ignore_index=True)


def names(folder: Path, some: list[Field], seed: int) -> Iterator[tuple[str, str, str]]:
    """Names of the same sources in archives of other observations, and after a switch."""
    found: list[list[pd.Series]] = []
    archives = []
    for part, numbers in enumerate((range(2), range(2, 4))):
        rows = make(folder / f"part{part}", some, numbers, seed)
        archives.append((open_archive(folder / f"part{part}"), rows))
    for corrected in (False, True):
        each = []
        for archive, rows in archives:
            _, members = clustered(archive, "published", corrected=corrected)
            truth = rows.set_index("detid")["truth"]
            of = members.assign(truth=truth.loc[members["detid"]].to_numpy())
            each.append(of.drop_duplicates("truth").set_index("truth")["srcid"])
        found.append(each)
    shares, near = [], []
    for one, other in found:
        both = one.index.intersection(other.index)
        shares.append(_share(one[both] == other[both]))
        near.append(len(both))
    yield f"names that are equal in archives of other observations, of {near[0]:,}", *shares
    switched = [(a[a.index] != b[a.index]).mean() for a, b in zip(*found, strict=True)]
    yield "names that the switch from raw to corrected changes", "", f"{np.mean(switched):.2%}"


def real(some: list[Field]) -> Iterator[tuple[str, str, str]]:
    """Sources that two real lists have, both with a frame of the pipeline."""
    raw, own, error_raw, error_own = [], [], [], []
    framed = [field for field in some if field.frame]
    for number, one in enumerate(framed):
        for other in framed[:number]:
            pairs = _shared(one, other)
            if len(pairs):
                raw.append(pairs["raw"])
                own.append(pairs["own"])
                error_raw.append(pairs["error_raw"])
                error_own.append(pairs["error_own"])
    before, after = np.concatenate(raw), np.concatenate(own)
    yield (
        f"distance of both, median of {len(before)}",
        *(f'{np.median(apart_):.2f}"' for apart_ in (before, after)),
    )
    shares = (
        (apart_ <= np.concatenate(error)).mean()
        for apart_, error in ((before, error_raw), (after, error_own))
    )
    yield "inside the errors of both", *(f"{share:.3f}" for share in shares)


def _shared(one: Field, other: Field) -> pd.DataFrame:
    places = [
        Positions(f.sources["ra_deg"].to_numpy(), f.sources["dec_deg"].to_numpy())
        for f in (one, other)
    ]
    met = match_rows(*places, 10.0)
    back = match_rows(*places[::-1], 10.0)
    met = met[met["source"].isin(back["row"])]
    columns: dict[str, list[np.ndarray]] = {"raw": [], "own": [], "stat": [], "frame": []}
    for field, rows in ((one, met["source"]), (other, met["row"])):
        here = field.sources.iloc[rows]
        ra, dec = here["ra_deg"].to_numpy(), here["dec_deg"].to_numpy()
        assert field.frame is not None
        columns["raw"].append(np.array([ra, dec]))
        columns["own"].append(np.array(field.frame.apply(ra, dec)))
        columns["stat"].append(here["error_arcsec"].to_numpy())
        columns["frame"].append(field.frame.error_arcsec(ra, dec))
    stat, frame = (np.hypot(*columns[name]) for name in ("stat", "frame"))
    systematic = DOCUMENTED["xmm"]["header"]["systematic_arcsec"] * 2
    return pd.DataFrame(
        {
            "raw": apart(*(tuple(place) for place in columns["raw"])),
            "own": apart(*(tuple(place) for place in columns["own"])),
            "error_raw": np.hypot(stat, XMM.attitude_error_arcsec * np.sqrt(2)),
            "error_own": np.sqrt(stat**2 + frame**2 + systematic**2),
        }
    )


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--fields", type=int, default=53)
    given = parser.parse_args()
    some = fields(given.data / "obsmli")
    random = np.random.default_rng(8)
    truth = pd.concat(
        [
            field.sources.assign(centre_ra=field.centre[0], centre_dec=field.centre[1]).set_index(
                1000 * place + field.sources.index
            )
            for place, field in enumerate(some[: given.fields])
        ]
    )
    sections: dict[str, list[tuple[str, str, str]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = make(folder / "archive", some[: given.fields], range(OBSERVED), 1)
        catalogues = {density: folder / f"rows{density:g}.parquet" for density in CHANCE}
        for density, path in catalogues.items():
            catalogue_of(truth, density, random).to_parquet(path)
        archive = open_archive(folder / "archive")
        sections["Simulated"] = list(measures(archive, rows, truth, catalogues))
        sections["Names"] = list(names(folder, some[: given.fields], 2))
    sections["Real lists"] = list(real(some))
    lines = ["# Corrected positions: benchmark results", ""]
    lines += ["Made by `python -m benchmarks.rectified`; see docs/astrometry.md."]
    for title, found in sections.items():
        lines += ["", f"## {title}", "", "| what | raw | corrected |", "|---|---|---|"]
        lines += [f"| {what} | {raw} | {own} |" for what, raw, own in found]
    text = "\n".join(lines) + "\n"
    RESULTS.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
