"""Frames of observations whose truth is known: of headers, fitted, and none."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import SkyCoord
from astropy.io import fits
from helpers.survey_archives import fill, observation
from typer.testing import CliRunner

from exod.archive import Archive
from exod.astrometry.rectification import Frame, header_frame
from exod.cli import app
from exod.config import Config
from exod.errors import ArchiveError, ConfigError
from exod.pps import read_listed_sources
from exod.scheduler.plan import Plan
from exod.schemas import KNOWN_SOURCES
from exod.stages.catalogue.release import write_catalogue
from exod.stages.derive.cluster import cluster_archive
from exod.stages.derive.rectify import RectifySettings, rectify_archive
from exod.stages.derive.rectify.fitting import prior_of
from exod.stages.derive.update import bring_up_to_date, sources_up_to_date
from exod.stages.inputs.filestamps import file_identity

HERE = Plan("sync")
YEARS = 10.0
"""Between the epoch of the catalogue and the observations."""

NO_FRAME = {"POSCOROK": False, "REFCAT": "too few matches"}


@dataclass
class Sky:
    """Fields with known sources and references; observed positions are off by a frame."""

    folder: Path
    archive: Archive
    references: list[pd.DataFrame] = field(default_factory=list)

    def observe(self, number: int, frame: Frame | None, *, header=None, n=60, share=0.6, **more):
        """Add an observation: truth, a list with what was measured, references with motion."""
        random = np.random.default_rng(number)
        obsid, centre = f"{number * 100 + 1:010d}", (10.0 + number, 5.0)
        offsets = random.uniform(-0.18, 0.18, (2, n))
        ra = centre[0] + offsets[0] / np.cos(np.radians(centre[1]))
        dec = centre[1] + offsets[1]
        error = random.uniform(0.4, 1.2, n)
        east, north = random.normal(0, error / np.sqrt(2), (2, n))
        measured = _moved(ra, dec, east, north)
        if frame is not None:
            # Small angles: what turns back and shifts back is measured.
            back = Frame(*centre, 0, 0, -frame.rotation_deg, np.zeros((3, 3)))
            shifted = _moved(*measured, -frame.east_arcsec, -frame.north_arcsec)
            measured = back.apply(*shifted)
        path = self.folder / f"P{obsid}EPX000OBSMLI0000.FTZ"
        rows = {"RA": measured[0], "DEC": measured[1], "RADEC_ERR": error}
        write_list(path, obsid, centre, rows, NO_FRAME if header is None else header)
        true = random.random(n) < share
        self._catalogue(random, ra[true], dec[true], centre, more.pop("chance", 2000))
        self.commit(obsid, centre, path, measured, **more)
        return obsid, (ra, dec)

    def commit(self, obsid, centre, path, measured, *, listed=True):
        tables = observation(
            obsid,
            centre,
            [centre, (centre[0] + 0.1, centre[1])],
            light_curves=False,
            n_runs=1,
            jitter_arcsec=0.0,
            mjd=57388.0 + 365.25 * YEARS,
        )
        known = {"ra_deg": measured[0], "dec_deg": measured[1]}
        known = pd.DataFrame(known).assign(obsid=obsid, det_ml=50.0, extent_arcsec=0.0)
        tables["known_sources"] = fill(KNOWN_SOURCES, known.to_dict("records"))
        tables["observations"]["source_list"] = path.name
        inputs = [file_identity(path)] if listed else []
        self.archive.commit(obsid, "OK", tables, inputs=inputs)

    def _catalogue(self, random, ra, dec, centre, n_chance):
        """Counterparts where they were in 2016, and references by chance."""
        motion = random.normal(0, 100.0, (2, len(ra)))  # mas a year
        then = _moved(ra, dec, *(-motion / 1e3 * YEARS))
        chance = random.uniform(-0.25, 0.25, (2, n_chance))
        far = centre[0] + chance[0] / np.cos(np.radians(centre[1])), centre[1] + chance[1]
        still = np.zeros(n_chance)
        self.references.append(
            pd.DataFrame(
                {
                    "ra": np.concatenate([then[0], far[0]]),
                    "dec": np.concatenate([then[1], far[1]]),
                    "pmra": np.concatenate([motion[0], still]),
                    "pmdec": np.concatenate([motion[1], still]),
                }
            )
        )

    @property
    def catalogue(self) -> str:
        path = self.folder / "gaia.toml"
        pd.concat(self.references).to_csv(self.folder / "gaia.csv", index=False)
        path.write_text(
            'title = "Stars"\nmethod = "table"\nwhere = "gaia.csv"\nprefix = "gaia_"\n'
            'ra = ["ra"]\ndec = ["dec"]\nepoch = 2016.0\n'
            '[motion]\nra = ["pmra"]\ndec = ["pmdec"]\n'
        )
        return str(path)

    def rectify(self, catalogue: str | None = None, **more):
        settings = RectifySettings(catalogue, cache=self.folder / "cache", **more)
        return rectify_archive(self.archive, HERE, settings)

    def table(self, name: str) -> pd.DataFrame:
        return getattr(self.archive, name).compute().set_index("obsid", drop=False)


def _moved(ra, dec, east, north):
    return ra + east / 3600 / np.cos(np.radians(dec)), dec + np.asarray(north) / 3600


def write_list(path, obsid, centre, rows, header):
    """A small OBSMLI list."""
    n = len(rows["RA"])
    rows = {**rows, "EP_DET_ML": np.full(n, 50.0), "EP_EXTENT": np.zeros(n), "EP_TOT": np.ones(n)}
    # Columns of a list whose POSCOROK is false are no positions on the sky.
    rows |= {"RA_CORR": rows["RA"] + 1.0, "DEC_CORR": rows["DEC"]}
    table = fits.BinTableHDU.from_columns(
        [fits.Column(name, "D", array=values) for name, values in rows.items()], name="SRCLIST"
    )
    table.header.update(header)
    primary = fits.PrimaryHDU()
    primary.header.update({"OBS_ID": obsid, "RA_PNT": centre[0], "DEC_PNT": centre[1]})
    fits.HDUList([primary, table]).writeto(path, overwrite=True)


def keywords(east, north, turn, dec=5.0):
    """Those of a frame; offsets in RA are of the coordinate, measured minus true."""
    return {
        "POSCOROK": True, "REFCAT": "2MASS", "NMATCHES": 30, "LIK_HOOD": 25.0,
        "RAOFFSET": -east / np.cos(np.radians(dec)), "DEOFFSET": -north, "ROT_CORR": turn,
        "RAOFFERR": 0.3, "DEOFFERR": 0.4, "ROT_ERR": 0.0,
    }  # fmt: skip


def frame_of(number, east, north, turn=0.0):
    return Frame(10.0 + number, 5.0, east, north, turn, np.zeros((3, 3)))


@pytest.fixture
def sky(tmp_path) -> Sky:
    return Sky(tmp_path, Archive.create(tmp_path / "archive", Config()))


def test_lists_of_the_pipeline_reproduce_what_it_corrected(data_dir):
    """Frames of real lists, through the reader: RA_CORR to 24 mas where it is a position."""
    paths = sorted((data_dir / "obsmli").glob("*.fits"))[::4]
    worst = []
    for path in paths:
        listed = read_listed_sources(path)
        frame = header_frame(listed.keywords).frame
        with fits.open(path) as file:
            rows = file["SRCLIST"].data
            given = {name: np.array(rows[name], float) for name in ("RA", "RA_CORR", "DEC_CORR")}
            error = np.array(rows["RADEC_ERR"], float)
        assert len(listed.sources) == len(error)
        np.testing.assert_allclose(listed.sources["error_arcsec"], error)
        np.testing.assert_array_equal(listed.sources["ra_deg"], given["RA"])
        if frame is not None:
            mine = frame.apply(listed.sources["ra_deg"], listed.sources["dec_deg"])
            theirs = SkyCoord(given["RA_CORR"], given["DEC_CORR"], unit="deg")
            worst.append(SkyCoord(*mine, unit="deg").separation(theirs).arcsec.max())
    assert len(paths) == 14
    assert len(worst) >= 8
    assert max(worst) < 0.024


def test_a_frame_of_the_header_is_applied(sky):
    obsid, _ = sky.observe(1, frame_of(1, 1.5, -0.8), header=keywords(1.5, -0.8, 0.0))
    made = sky.rectify()
    assert (made.counts["header"], made.counts["fit"], made.counts["none"]) == (1, 0, 0)
    frame, positions = sky.table("frames").loc[obsid], sky.table("positions")
    assert (frame["source"], frame["ok"], frame["reason"], frame["refcat"]) == (
        *("header", True, "", "2MASS"),
    )
    assert (frame["east_arcsec"], frame["north_arcsec"]) == pytest.approx((1.5, -0.8))
    assert (frame["n_matched"], frame["likelihood"]) == (30, 25.0)
    regions = sky.table("regions").set_index("detid").loc[positions["detid"]]
    east = (positions["ra_corr_deg"].to_numpy() - regions["ra_deg"].to_numpy()) * 3600
    north = (positions["dec_corr_deg"].to_numpy() - regions["dec_deg"].to_numpy()) * 3600
    np.testing.assert_allclose(east * np.cos(np.radians(5.0)), 1.5, atol=1e-3)
    np.testing.assert_allclose(north, -0.8, atol=1e-3)
    # 3 arcsec of the search without its 1.29 for the frame, the frame's 0.5, and 0.28.
    expected = np.sqrt(9 - 1.29**2 + (0.3 * np.cos(np.radians(5.0))) ** 2 + 0.4**2 + 0.28**2)
    np.testing.assert_allclose(positions["pos_err_corr_arcsec"], expected)


def test_offsets_along_the_spacecraft_are_measured_minus_true(sky):
    obsid, _ = sky.observe(1, frame_of(1, 2.0, 0.0), header=keywords(2.0, 0.0, 0.0))
    sky.rectify()
    frame = sky.table("frames").loc[obsid]
    roll = np.radians(sky.table("observations").loc[obsid, "pa_pnt"])
    assert frame["y_arcsec"] == pytest.approx(-2.0 * np.cos(roll))
    assert frame["z_arcsec"] == pytest.approx(2.0 * np.sin(roll))


def test_a_fit_finds_the_frame_and_moves_stars_to_the_epoch(sky):
    """References are 1 arcsec from where they were at the epoch: without motion it would fail."""
    obsid, truth = sky.observe(2, frame_of(2, -1.8, 1.1, 0.05))
    made = sky.rectify(sky.catalogue)
    assert made.counts["fit"] == 1
    frame, offsets = sky.table("frames").loc[obsid], sky.table("offsets")
    assert frame["source"] == "fit"
    assert frame["reason"] == "header: too few matches"
    shift = frame[["east_arcsec", "north_arcsec"]].to_numpy(float)
    assert np.hypot(*(shift - [-1.8, 1.1])) < 0.5
    assert abs(shift - [-1.8, 1.1])[0] < 4 * frame["east_err_arcsec"]
    assert abs(frame["rotation_deg"] - 0.05) < 5 * frame["rotation_err_deg"]
    assert frame["n_matched"] == pytest.approx(36, abs=10)
    assert offsets["p_match"].between(0, 1).all()
    sure = offsets[offsets["p_match"] > 0.9]
    assert len(sure) > 20
    assert np.hypot(sure["east_corr_arcsec"], sure["north_corr_arcsec"]).median() < 1.0
    assert np.hypot(*(sure[["east_arcsec", "north_arcsec"]].mean() + shift)) < 0.4
    lengths = [
        np.hypot(sure[f"{one}_arcsec"], sure[f"{other}_arcsec"])
        for one, other in (("east", "north"), ("dy", "dz"))
    ]
    np.testing.assert_allclose(*lengths)
    assert truth[0].size == frame["n_sources"]


def test_references_by_chance_are_no_frame(sky):
    obsid, _ = sky.observe(3, frame_of(3, 1.0, 1.0), share=0.0)
    made = sky.rectify(sky.catalogue)
    frame, positions = sky.table("frames").loc[obsid], sky.table("positions")
    assert made.counts["none"] == 1
    assert (frame["source"], frame["ok"], frame["east_arcsec"]) == ("none", False, 0.0)
    assert frame["reason"].startswith("header: too few matches; fit: the log odds")
    assert made.reasons == {frame["reason"]: 1}
    regions = sky.table("regions").set_index("detid").loc[positions["detid"]]
    np.testing.assert_array_equal(positions["ra_corr_deg"], regions["ra_deg"])
    np.testing.assert_array_equal(positions["dec_corr_deg"], regions["dec_deg"])
    # 1.40 arcsec for the frame in the place of the 1.29 of the search.
    wider = np.sqrt(regions["pos_err_arcsec"] ** 2 - 1.29**2 + 1.40**2)
    np.testing.assert_allclose(positions["pos_err_corr_arcsec"], wider)


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"n": 0}, "the observation has no sources with positions and errors"),
        ({"chance": 0, "share": 0.0}, "no source has a reference within reach"),
    ],
)
def test_where_there_is_nothing_to_fit_the_reason_is_told(sky, more, reason):
    sky.observe(5, None)
    obsid, _ = sky.observe(4, None, **more)
    sky.rectify(sky.catalogue)
    assert sky.table("frames").loc[obsid, "reason"] == f"header: too few matches; fit: {reason}"


def test_without_a_catalogue_or_a_list(sky):
    """Archives whose lists are gone, or that never said where they are."""
    gone, _ = sky.observe(1, None, header=keywords(1.0, 0.0, 0.0))
    unknown, _ = sky.observe(2, None, listed=False)
    changed, _ = sky.observe(3, None, header=keywords(1.0, 0.0, 0.0))
    (sky.folder / f"P{gone}EPX000OBSMLI0000.FTZ").rename(sky.folder / "elsewhere")
    path = sky.folder / f"P{changed}EPX000OBSMLI0000.FTZ"
    path.write_bytes(path.read_bytes() + bytes(2880))
    sky.rectify()
    reasons = sky.table("frames")["reason"]
    assert "is not where the search read it; say with --lists" in reasons[gone]
    assert "the ledger does not say where" in reasons[unknown]
    assert "has changed since the search read it" in reasons[changed]
    assert all(reasons.str.endswith("; fit: no catalogue was given"))


def test_known_sources_do_where_the_list_is_gone(sky):
    obsid, _ = sky.observe(6, frame_of(6, 1.4, 0.3), listed=False)
    sky.rectify(sky.catalogue)
    frame = sky.table("frames").loc[obsid]
    assert frame["source"] == "fit"
    assert np.hypot(frame["east_arcsec"] - 1.4, frame["north_arcsec"] - 0.3) < 0.6


def test_lists_may_be_elsewhere(sky, tmp_path):
    obsid, _ = sky.observe(1, None, header=keywords(1.0, 0.0, 0.0))
    path = sky.folder / f"P{obsid}EPX000OBSMLI0000.FTZ"
    (tmp_path / "moved" / "deeper").mkdir(parents=True)
    path.rename(tmp_path / "moved" / "deeper" / path.name)
    assert sky.rectify().counts["header"] == 0
    assert sky.rectify(lists=tmp_path / "moved").counts["header"] == 1


def test_only_what_is_new_is_read(sky):
    first, _ = sky.observe(1, frame_of(1, 1.0, 0.0), header=keywords(1.0, 0.0, 0.0))
    sky.observe(2, frame_of(2, 1.0, 0.0))
    text = sky.catalogue
    made = sky.rectify(text)
    assert (made.n_read, made.n_kept) == (2, 0)
    again = sky.rectify()
    assert (again.n_read, again.n_kept) == (0, 2)
    assert again.derived.version == made.derived.version
    before = {name: sky.table(name) for name in ("frames", "offsets", "positions")}
    third, _ = sky.observe(3, None, header=keywords(0.5, 0.0, 0.0))
    (sky.folder / f"P{first}EPX000OBSMLI0000.FTZ").unlink()
    made = sky.rectify()
    assert (made.n_read, made.n_kept, made.counts["observations"]) == (1, 2, 3)
    for name, rows in before.items():
        now = sky.table(name)
        pd.testing.assert_frame_equal(now[now["obsid"] != third], rows)
    # One that is searched again has its rows once.
    sky.observe(2, frame_of(2, 1.0, 0.0), header=keywords(2.0, 0.0, 0.0))
    assert sky.rectify().counts["header"] == 3
    assert sky.table("frames").index.is_unique
    assert sky.table("positions")["detid"].is_unique
    # Another catalogue, or none, is another product.
    assert sky.rectify("none").n_read == 3


def test_circles_hold_what_they_say_of_each_kind(sky):
    """Positions with 0.6 arcsec more than their lists tell: circles are calibrated, and hold."""
    random = np.random.default_rng(9)
    for number in range(1, 9):
        extra = random.normal(0, 0.6)
        frame = frame_of(number, 1.0 + extra, random.normal(0, 0.6))
        sky.observe(number, frame, header=keywords(1.0, 0.0, 0.0), share=0.9, chance=200)
    made = sky.rectify(sky.catalogue)
    found = made.calibration["xmm"]["header"]
    assert found["n_pairs"] > 200
    assert made.calibration.keys() == {"xmm"}
    assert made.calibration["xmm"].keys() == {"header"}
    assert found["systematic_arcsec"] + 1 / found["tail"] > 0.3
    plain = 3.0**2 - 1.29**2 + 0.3**2 + 0.4**2 + 0.28**2
    assert (sky.table("positions")["pos_err_corr_arcsec"] > np.sqrt(plain)).all()


def test_the_prior_is_of_the_archive():
    shifts = np.random.default_rng(1).normal(0, [3.0, 3.0, 0.2], (500, 3))
    prior = prior_of(shifts)
    assert prior.shift_arcsec == pytest.approx(3.0, abs=0.3)
    assert prior.reach_arcsec == pytest.approx(3 * prior.shift_arcsec)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"prior": "some"}, "The prior is archive or none, not 'some'."),
        (
            {"lists": Path("nowhere")},
            "nowhere is no folder; give one with source lists to --lists.",
        ),
    ],
)
def test_settings_that_cannot_be(sky, more, sentence):
    sky.observe(1, None)
    with pytest.raises(ConfigError) as error:
        sky.rectify(**more)
    assert str(error.value) == sentence


def test_the_command_tells_what_became_of_the_observations(sky):
    sky.observe(1, None, header=keywords(1.0, 0.0, 0.0))
    sky.observe(2, None)
    root = str(sky.folder / "archive")
    found = CliRunner().invoke(app, ["rectify", root, "--scheduler", "sync"])
    assert found.exit_code == 0, found.output
    text = " ".join(found.output.split())
    assert "2 observations read, 0 kept: 1 have the frame of their source list" in text
    assert "1 observation: header: too few matches; fit: no catalogue was given" in text
    assert 'Systematic error of header (xmm): 0.28", as documented.' in text


def test_sources_of_corrected_positions(sky):
    """Two observations of a source whose frames are 8 arcsec apart, one with each kind."""
    sky.observe(1, None, header=keywords(3.0, 1.0, 0.0))
    sky.observe(2, None)
    with pytest.raises(ArchiveError, match="no corrected positions yet; run `exod rectify"):
        cluster_archive(sky.archive, HERE, rectified=True)
    raw = cluster_archive(sky.archive, HERE)
    assert "positions" not in raw.derived.parameters
    measured = sky.archive.unique.compute().set_index("region_num")
    made = sources_up_to_date(sky.archive, HERE, rectified=True)
    assert made == ["frames", "unique"]
    sources = sky.archive.unique.compute().set_index("region_num")
    moved = (sources["dec_deg"] - measured["dec_deg"]) * 3600
    near_first = sources["ra_deg"] < 11.5
    np.testing.assert_allclose(moved, np.where(near_first, 1.0, 0.0), atol=1e-3)
    smaller = sources["pos_err_arcsec"] < measured["pos_err_arcsec"]
    np.testing.assert_array_equal(smaller, near_first)
    members = sky.archive.members.compute().set_index("detid")
    positions = sky.archive.positions.compute().set_index("detid").loc[members.index]
    np.testing.assert_array_equal(members["ra_deg"], positions["ra_corr_deg"])
    np.testing.assert_array_equal(members["pos_err_arcsec"], positions["pos_err_corr_arcsec"])
    # It stays so until raw positions are asked for, and then those stay.
    assert sources_up_to_date(sky.archive, HERE) == []
    sky.observe(3, None, header=keywords(3.0, 1.0, 0.0))
    with pytest.raises(ArchiveError, match="are behind by 1 observation; run `exod rectify"):
        cluster_archive(sky.archive, HERE)
    assert sources_up_to_date(sky.archive, HERE) == ["frames", "unique"]
    assert sources_up_to_date(sky.archive, HERE, rectified=False) == ["unique"]
    again = sky.archive.unique.compute().set_index("region_num").loc[measured.index]
    pd.testing.assert_series_equal(again["ra_deg"], measured["ra_deg"])
    assert sources_up_to_date(sky.archive, HERE) == []
    sky.observe(4, None, header=keywords(3.0, 1.0, 0.0))
    assert sources_up_to_date(sky.archive, HERE) == ["unique"]
    assert not cluster_archive(sky.archive, HERE).derived.parameters["positions"]


def test_corrected_positions_are_taken_where_there_are_some(sky):
    """Without a choice: raw as ever without frames, corrected from the day there are frames."""
    sky.observe(1, None, header=keywords(3.0, 1.0, 0.0))
    assert sources_up_to_date(sky.archive, HERE) == ["unique"]
    raw = cluster_archive(sky.archive, HERE)
    assert not raw.is_new
    assert "positions" not in raw.derived.parameters
    before = sky.archive.unique.compute().set_index("region_num")
    frames = sky.rectify().derived
    made = cluster_archive(sky.archive, HERE)
    assert made.derived.parameters["positions"] == frames.version
    now = sky.archive.unique.compute().set_index("region_num")
    np.testing.assert_allclose((now["dec_deg"] - before["dec_deg"]) * 3600, 1.0, atol=1e-3)
    pd.testing.assert_series_equal(now["srcid"], before["srcid"])
    assert not cluster_archive(sky.archive, HERE).is_new
    sky.observe(2, None)
    with pytest.raises(ArchiveError, match=r"behind by 1 .* or take raw positions \(--raw\)"):
        cluster_archive(sky.archive, HERE)


def test_raw_positions_by_choice(sky):
    """It is remembered, also by an archive that has no frames yet, and changes no table."""
    sky.observe(1, None, header=keywords(3.0, 1.0, 0.0))
    cluster_archive(sky.archive, HERE)
    before = sky.archive.unique.compute()
    assert sources_up_to_date(sky.archive, HERE, rectified=False) == ["unique"]
    assert sources_up_to_date(sky.archive, HERE, rectified=False) == []
    sky.rectify()
    assert sources_up_to_date(sky.archive, HERE) == []
    assert not cluster_archive(sky.archive, HERE).is_new
    pd.testing.assert_frame_equal(sky.archive.unique.compute(), before)
    assert sources_up_to_date(sky.archive, HERE, rectified=True) == ["unique"]


def test_an_observation_that_is_empty_now_has_no_rows(sky):
    """Searched again it has no regions and no known sources: nothing of it stays."""
    first, _ = sky.observe(1, None, header=keywords(3.0, 1.0, 0.0))
    other, _ = sky.observe(2, frame_of(2, 1.0, 0.0), header=keywords(1.0, 0.0, 0.0))
    text = sky.catalogue
    sky.rectify(text)
    assert set(sky.table("positions").index) == {first, other}
    centre = (11.0, 5.0)
    tables = observation(first, centre, [], light_curves=False, n_runs=1)
    sky.archive.commit(first, "EMPTY", tables)
    sky.rectify(text)
    assert set(sky.table("positions").index) == {other}
    assert set(sky.table("offsets").index) == {other}
    assert sky.table("frames").loc[first, "source"] == "none"
    sources_up_to_date(sky.archive, HERE)
    assert set(sky.archive.members.compute()["obsid"]) == {other}


def test_the_catalogue_has_corrected_positions_beside_the_raw_ones(sky):
    sky.observe(1, None, header=keywords(3.0, 1.0, 0.0))
    bring_up_to_date(sky.archive, HERE, rectified=True)
    folder = sky.folder / "release"
    write_catalogue(sky.archive, folder, HERE, hats=False)
    rows = pd.read_parquet(folder / "detections.parquet").set_index("detid")
    regions = sky.archive.regions.compute().set_index("detid").loc[rows.index]
    np.testing.assert_array_equal(rows["dec_deg"], regions["dec_deg"])
    np.testing.assert_allclose((rows["dec_corr_deg"] - rows["dec_deg"]) * 3600, 1.0, atol=1e-3)
    assert (rows["pos_err_corr_arcsec"] < rows["pos_err_arcsec"]).all()
