"""Tables of hot pixels of users: read from every format, and refused with row and column."""

import numpy as np
import pytest
from astropy.table import Table
from helpers.strategies import make_events

from exod.config import HOT_PIXEL_WORDS, Config
from exod.errors import ConfigError
from exod.instruments import EMOS1, EMOS2, EPN
from exod.observation.hotpixels import hot_pixel_mask, listed_hot_pixels
from exod.pps import find_observations
from exod.stages.detect.survey import detect_many
from exod.tablefiles.pixeltable import (
    COLUMNS,
    RANGES,
    READY,
    hot_pixel_table,
    read_hot_pixel_table,
)

HEAD = ",".join(COLUMNS)
GOOD = "EPN,4,30,150,0,9999"


def rows() -> Table:
    names = COLUMNS[1:]
    return Table({"INSTRUME": ["EMOS1", "EPN"], **{n: [i, i + 1] for i, n in enumerate(names, 1)}})


@pytest.mark.parametrize("name", ["hot.fits", "hot.ecsv", "hot.csv", "hot.vot", "hot.parquet"])
def test_every_format(tmp_path, name):
    if name.endswith("parquet"):
        rows().to_pandas().to_parquet(tmp_path / name)
    else:
        rows().write(tmp_path / name, **({"format": "votable"} if name.endswith("vot") else {}))
    table = read_hot_pixel_table(tmp_path / name)
    assert list(table) == list(COLUMNS)
    assert table["INSTRUME"].tolist() == ["EMOS1", "EPN"]
    assert table["REV2"].tolist() == [5, 6]
    assert set(table.dtypes[1:]) == {np.dtype(np.int64)}


def test_small_letters_marks_and_other_columns(tmp_path):
    path = tmp_path / "hot.csv"
    path.write_text(f"note,{HEAD.lower()}\nx,emos2,17,1,600,0.0,10\n\n", encoding="utf-8-sig")
    # CCD 7 of MOS is 17 where it is read through the redundant node.
    assert read_hot_pixel_table(path).iloc[0].tolist() == ["EMOS2", 7, 1, 600, 0, 10]


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("EPN,5,30,,0,9999", "row 2: RAWY is empty."),
        (",5,30,1,0,9999", "row 2: INSTRUME is empty."),
        ("EPN,5,30,NA,0,9999", "row 2: RAWY is 'NA', which is no whole number."),
        ("EPN,5,30,1.5,0,9999", "row 2: RAWY is '1.5', which is no whole number."),
        ("EPN,5,30,1,0,inf", "row 2: REV2 is 'inf', which is no whole number."),
        ("PN,5,30,1,0,9999", "row 2: INSTRUME is 'PN', not EPN, EMOS1, EMOS2."),
        ("EPN,13,30,1,0,9999", "row 2: CCDNR is 13, and that of EPN is 1 to 12."),
        ("EPN,5,65,1,0,9999", "row 2: RAWX is 65, and that of EPN is 1 to 64."),
        ("EMOS1,5,1,601,0,9999", "row 2: RAWY is 601, and that of EMOS1 is 1 to 600."),
        ("EPN,5,0,1,0,9999", "row 2: RAWX is 0, and that of EPN is 1 to 64."),
        ("EPN,5,30,1,7,7", "row 2: no revolution is after REV1, 7, and before REV2, 7."),
    ],
)
def test_a_row_that_is_no_pixel_is_refused(tmp_path, row, sentence):
    path = tmp_path / "hot.csv"
    path.write_text(f"{HEAD}\n{GOOD}\n{row}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        read_hot_pixel_table(path)
    assert str(error.value) == f"The hot pixel table {path}, {sentence}"


def test_what_is_no_table_of_pixels(tmp_path):
    for name, content, sentence in (
        ("nowhere.fits", None, r"There is no file .*nowhere.fits; exod itself has 4xmm-dr14\.$"),
        ("bad.fits", b"nonsense", "cannot be read as fits"),
        ("short.csv", b"INSTRUME,CCDNR,RAWY,REV2\n", "lacks the columns RAWX, REV1"),
        ("none.csv", HEAD.encode() + b"\n", "has no rows"),
        ("hot.txt", b"", "of no known format"),
    ):
        if content is not None:
            (tmp_path / name).write_bytes(content)
        with pytest.raises(ConfigError, match=sentence):
            read_hot_pixel_table(tmp_path / name)


def test_it_is_refused_before_anything_is_searched(command, small, tmp_path):
    path, archive = tmp_path / "hot.csv", tmp_path / "archive"
    path.write_text(f"{HEAD}\nEPN,5,30,,0,9999\n", encoding="utf-8")
    setting = f"selection.hot_pixels={path}"
    for more in ([], ["--dry-run"]):
        code, _, error = command("detect", small, "--archive", archive, "--set", setting, *more)
        assert code == 2
        assert "row 1: RAWY is empty" in error
    observations, _ = find_observations([str(small)])
    with pytest.raises(ConfigError, match="row 1: RAWY is empty"):
        next(detect_many(observations, Config.load(overrides=[setting]), str(archive)))
    assert not archive.exists()


# ------------------------------------------------------------------ stretches, and the ready table


def test_a_row_may_be_a_stretch_of_pixels(tmp_path):
    path = tmp_path / "hot.csv"
    path.write_text(f"{','.join(RANGES)}\nEPN,4,30,150,152,0,9\nEMOS2,17,1,600,600,5,7\n")
    table = read_hot_pixel_table(path)
    assert table.to_numpy().tolist() == [
        *(["EPN", 4, 30, row, 0, 9] for row in (150, 151, 152)),
        ["EMOS2", 7, 1, 600, 5, 7],
    ]
    assert list(table) == list(COLUMNS)
    assert set(table.dtypes[1:]) == {np.dtype(np.int64)}


@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        ("EPN,5,30,7,6,0,9999", "row 1: RAWY1, 7, is above RAWY2, 6."),
        ("EPN,5,30,7,201,0,9999", "row 1: RAWY2 is 201, and that of EPN is 1 to 200."),
        ("EPN,5,30,0,6,0,9999", "row 1: RAWY1 is 0, and that of EPN is 1 to 200."),
        ("EPN,5,30,7,,0,9999", "row 1: RAWY2 is empty."),
    ],
)
def test_a_stretch_that_is_none_is_refused(tmp_path, row, sentence):
    path = tmp_path / "hot.csv"
    path.write_text(f"{','.join(RANGES)}\n{row}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as error:
        read_hot_pixel_table(path)
    assert str(error.value) == f"The hot pixel table {path}, {sentence}"
    (tmp_path / "half.csv").write_text("INSTRUME,CCDNR,RAWX,RAWY1,REV1,REV2\nEPN,1,1,1,1,2\n")
    with pytest.raises(ConfigError, match="lacks the columns RAWY2"):
        read_hot_pixel_table(tmp_path / "half.csv")


def test_what_the_setting_means():
    assert hot_pixel_table("find") is None
    assert hot_pixel_table("off") is None
    assert str(hot_pixel_table("mine.csv")) == "mine.csv"
    for name in READY:
        assert hot_pixel_table(name).is_file()
        assert name in HOT_PIXEL_WORDS


@pytest.mark.parametrize("word", ["4XMM-DR14", "OFF", "Find"])
def test_words_are_known_in_capitals_too(word):
    chosen, same = (
        Config.load(overrides=[f"selection.hot_pixels={name}"]) for name in (word, word.lower())
    )
    assert chosen == same
    assert chosen.fingerprint() == same.fingerprint()


def pixels_of_the_catalogue(folder, name: str, camera, revolution: int | None = None):
    """Which (ccd, column, row) a table of the catalogue names for a revolution, or for any."""
    hot = np.zeros((camera.n_ccds + 1, camera.n_columns + 1, camera.n_rows + 2), bool)
    lines = (folder / "exod2" / f"4xmmdr14_hotpixels_{name}.csv").read_text().split()[1:]
    for line in lines:
        ccd, band, column, first, last, after, before = (int(cell) for cell in line.split(","))
        assert band == 8
        if revolution is None or after < revolution < before:
            hot[ccd, column, first : last + 1] = True
    return hot


@pytest.mark.parametrize(
    ("camera", "name"), [(EPN, "PN"), (EMOS1, "M1"), (EMOS2, "M2")], ids=["pn", "mos1", "mos2"]
)
def test_the_ready_table_removes_the_pixels_of_the_catalogue_and_no_others(data_dir, camera, name):
    """In revolutions at which a row begins or ends, and in those after."""
    table = read_hot_pixel_table(hot_pixel_table("4xmm-dr14"))
    own = table[table["INSTRUME"] == camera.name]
    edges = np.unique(own[["REV1", "REV2"]].to_numpy())
    # An event in each pixel that either names, and in as many others.
    named = pixels_of_the_catalogue(data_dir, name, camera)
    named[*own[["CCDNR", "RAWX", "RAWY"]].to_numpy().T] = True
    generator = np.random.default_rng(1)
    sizes = (camera.n_ccds, camera.n_columns, camera.n_rows)
    named[*(generator.integers(1, size + 1, named.sum()) for size in sizes)] = True
    # Rows of pn that end at 201 are one longer than the CCD.
    pixels = np.nonzero(named[:, :, : camera.n_rows + 1])
    columns = dict(zip(("ccdnr", "rawx", "rawy"), pixels, strict=True))
    events = make_events(np.arange(float(len(pixels[0]))), **columns)
    for revolution in generator.permutation(np.unique([*edges, *edges + 1]))[:12].tolist():
        hot = listed_hot_pixels(table, events, camera, revolution)
        expected = pixels_of_the_catalogue(data_dir, name, camera, revolution)
        np.testing.assert_array_equal(hot_pixel_mask(events, hot), expected[pixels])
