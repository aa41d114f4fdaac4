"""Tables of hot pixels of users: read from every format, and refused with row and column."""

import numpy as np
import pytest
from astropy.table import Table

from exod.config import Config
from exod.errors import ConfigError
from exod.pps import find_observations
from exod.stages.detect.survey import detect_many
from exod.tablefiles.pixeltable import COLUMNS, read_hot_pixel_table

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
        ("nowhere.fits", None, "There is no file"),
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
