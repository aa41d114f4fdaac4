"""Every byte of a FITS file is accounted for before its rows are believed."""

from __future__ import annotations

import gzip
import os
import re
import socket
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import fsspec
import numpy as np
import pytest
from astropy.io import fits
from helpers.eventfiles import (
    FORMATS,
    HEADER,
    M1,
    OBSID,
    SOURCES,
    event_hdus,
    source_hdu,
    values_of,
)
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.config import Config
from exod.errors import DownloadError, InputError
from exod.pps import (
    ObservationFiles,
    RemoteFile,
    find_observations,
    read_event_list,
    read_source_list,
    remote,
)
from exod.pps.fits import fitshdu, fitsstream
from exod.pps.fits.fitsstream import folded, word_sum
from exod.stages.detect.predict import predict, predict_many
from exod.stages.inputs.filestamps import file_identity

NAME = M1.replace("FTZ", "FIT")
N_ROWS = 300


def content_of(hdus: fits.HDUList, **options: bool) -> bytes:
    file = BytesIO()
    hdus.writeto(file, **options)
    return file.getvalue()


def sound(**options: bool) -> bytes:
    """An event list with an extension behind its rows."""
    hdus = event_hdus(n=N_ROWS)
    hdus.append(fits.ImageHDU(np.ones((3, 3), np.int16), name="OFFSETS"))
    return content_of(hdus, **options)


SOUND = sound()
DATA = fits.open(BytesIO(SOUND))["EVENTS"].fileinfo()["datLoc"]
WIDTH = fits.open(BytesIO(SOUND))["EVENTS"].header["NAXIS1"]


def with_card(content: bytes, key: str, value: str, extension: str = "EVENTS") -> bytes:
    """Another value of a card, whatever it is, in the last header that ends before the rows."""
    start = content.index(b"XTENSION") if extension else 0
    place = content.index(key.encode().ljust(8) + b"=", start)
    return content[:place] + f"{key:<8}= {value:>20}".encode().ljust(80) + content[place + 80 :]


def read(folder: Path, content: bytes, name: str = NAME):
    (folder / name).write_bytes(content)
    return read_event_list(folder / name)


WRONG_CARDS = {
    "too few rows": ("NAXIS2", str(N_ROWS - 1)),
    "half of the rows": ("NAXIS2", str(N_ROWS // 2)),
    "no rows": ("NAXIS2", "0"),
    "too many rows": ("NAXIS2", str(N_ROWS + 1000)),
    "far too many rows": ("NAXIS2", "999999999999"),
    "rows below zero": ("NAXIS2", "-1"),
    "rows that are text": ("NAXIS2", "'NaN'"),
    "endless rows": ("NAXIS2", "1E400"),
    "a wider row": ("NAXIS1", str(WIDTH + 1)),
    "no row": ("NAXIS1", "0"),
    "a heap that goes back": ("PCOUNT", "-2880"),
    "a heap that is not there": ("PCOUNT", "5760"),
    "no group": ("GCOUNT", "0"),
    "two groups": ("GCOUNT", "2"),
    "bits": ("BITPIX", "7"),
    "many columns": ("TFIELDS", "1000000"),
    "columns below zero": ("TFIELDS", "-1"),
    "fewer columns": ("TFIELDS", "9"),
    "axes": ("NAXIS", "3"),
    "a wider column": ("TFORM2", "'J'"),
    "no such format": ("TFORM2", "'Z'"),
    "pairs of numbers": ("TFORM1", "'2E'"),
    "scale": ("TSCAL1", "'one'"),
    "another name": ("TTYPE1", "'TIMF'"),
}


@pytest.mark.parametrize("fault", WRONG_CARDS)
def test_sizes_that_cannot_be(fault: str, tmp_path: Path) -> None:
    key, value = WRONG_CARDS[fault]
    hdus = event_hdus(n=N_ROWS)
    hdus["EVENTS"].header["TSCAL1"] = 1.0
    content = with_card(content_of(hdus), key, value)
    with pytest.raises(InputError, match=NAME):
        read(tmp_path, content)


def test_a_row_of_the_filling_is_no_event(tmp_path: Path) -> None:
    """What fills the last block reads as a row of zeros, which no limit of the camera allows."""
    hdus = event_hdus(n=N_ROWS)
    hdus["EVENTS"].header.update({"TSTART": 6e8, "TSTOP": 6e8 + N_ROWS})
    exposure, events = read(tmp_path, with_card(content_of(hdus), "NAXIS2", str(N_ROWS + 1)))
    assert len(events) == N_ROWS + 1
    assert (events.time[-1], events.ccdnr[-1], exposure.start) == (0, 0, 6e8)


PIECES: dict[str, Callable[[bytes], bytes]] = {
    "bytes behind the end": lambda c: c + b"rows" * 720,
    "half a block behind the end": lambda c: c + b"x",
    "the end cut off": lambda c: c[:-2880],
    "some filling cut off": lambda c: c[:-1],
    "a block inserted": lambda c: c[: DATA + 2880] + bytes(2880) + c[DATA + 2880 :],
    "a block taken out": lambda c: c[:DATA] + c[DATA + 2880 :],
    "a block doubled": lambda c: c[: DATA + 2880] + c[DATA:],
    "another extension": lambda c: c.replace(b"XTENSION= 'IMAGE", b"EXTENSION='IMAGE"),
    "no end of a header": lambda c: c.replace(b"END" + b" " * 77, b"ENE" + b" " * 77),
    "an end too early": lambda c: re.sub(rb"TELESCOP.{72}", b"END".ljust(80), c),
    "zeros in a header": lambda c: c.replace(b"PrimeFullWindow", bytes(15)),
    "sizes given twice": lambda c: with_card(c, "OBJECT", "").replace(
        b"OBJECT  = " + b" " * 70, b"NAXIS2  = ".ljust(27) + b"100" + b" " * 50
    ),
}


@pytest.mark.parametrize("fault", PIECES)
def test_pieces_that_are_missing_or_too_many(fault: str, tmp_path: Path) -> None:
    content = PIECES[fault](SOUND)
    assert content != SOUND
    with pytest.raises(InputError, match=NAME):
        read(tmp_path, content)


@settings(max_examples=portion(60))
@given(place=st.integers(DATA, DATA + N_ROWS * WIDTH - 1), size=st.integers(1, 6000))
@pytest.mark.parametrize("is_cut", [True, False])
def test_rows_that_move_are_noticed(
    is_cut: bool, place: int, size: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    end = place + size if is_cut else place
    between = b"" if is_cut else (b"\x01" * size)
    folder = tmp_path_factory.mktemp("moved")
    with pytest.raises(InputError, match=NAME):
        read(folder, SOUND[:place] + between + SOUND[end:])


def test_empty_bytes_behind_the_end_are_noted(tmp_path: Path) -> None:
    exposure, events = read(tmp_path, SOUND + bytes(5000))
    assert exposure.notes == (f"{NAME}: 5,000 empty bytes follow the last extension.",)
    assert len(events) == N_ROWS


# --- checksums -------------------------------------------------------------------------------


@given(pieces=st.lists(st.binary(max_size=40), max_size=6))
def test_sums_of_words(pieces: list[bytes]) -> None:
    """In ones' complement, whatever the pieces; against plain arithmetic."""
    whole = b"".join(pieces)
    padded = whole + bytes(-len(whole) % 4)
    expected = sum(int.from_bytes(padded[i : i + 4], "big") for i in range(0, len(padded), 4))
    total = done = 0
    for piece in pieces:
        total += word_sum(bytes(done % 4) + piece)
        done += len(piece)
    ones = 0xFFFFFFFF
    assert folded(total) % ones == expected % ones


def test_right_checksums_are_silent(tmp_path: Path) -> None:
    exposure, events = read(tmp_path, sound(checksum=True))
    assert exposure.notes == ()
    assert events.time.tolist() == values_of(N_ROWS)["TIME"].tolist()


@given(bit=st.integers(0, N_ROWS * WIDTH * 8 - 1))
@settings(max_examples=portion(40))
def test_a_bit_of_the_data_is_noticed(bit: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    content = bytearray(sound(checksum=True))
    first = fits.open(BytesIO(content))["EVENTS"].fileinfo()["datLoc"]
    content[first + bit // 8] ^= 1 << bit % 8
    with pytest.raises(InputError, match="DATASUM"):
        read(tmp_path_factory.mktemp("bit"), bytes(content))


def test_a_changed_header_is_noted(tmp_path: Path) -> None:
    content = sound(checksum=True).replace(b"'HD 159176", b"'HD 159177")
    exposure, _ = read(tmp_path, content)
    assert len(exposure.notes) == 1
    assert "EVENTS is not the one that its CHECKSUM was made for" in exposure.notes[0]


def test_a_checksum_alone(tmp_path: Path) -> None:
    hdus = event_hdus(n=N_ROWS)
    hdus["EVENTS"].add_checksum()
    content = content_of(hdus)
    assert b"CHECKSUM" in content
    alone = re.sub(rb"DATASUM = .{70}", b"COMMENT ".ljust(80), content)
    with pytest.raises(InputError, match="CHECKSUM"):
        read(tmp_path, alone)


# --- size and kind of files ------------------------------------------------------------------


def test_content_ends_somewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small compressed file may unpack to more than any disk holds."""
    for module in (fitsstream, fitshdu, remote):
        monkeypatch.setattr(module, "LARGEST_FILE", 100_000)
    image = content_of(fits.HDUList([fits.PrimaryHDU(np.zeros(50_000, np.uint8))]))
    bomb = gzip.compress(image + bytes(10**6))
    with pytest.raises(InputError, match="holds more than 100,000 bytes"):
        read(tmp_path, bomb, M1)
    with pytest.raises(InputError, match="would have"):
        read(tmp_path, with_card(image, "NAXIS1", "200000", ""), NAME)
    fsspec.filesystem("memory").pipe("/large/" + M1, bytes(200_000))
    for size in (None, 10):
        there = RemoteFile(f"memory://large/{M1}", size=size)
        with pytest.raises(DownloadError):
            there.copy_to(tmp_path / "copy")


def make_pipe(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # The address of a socket is short.
    try:
        with socket.socket(socket.AF_UNIX) as end:
            end.bind(path.name)
    finally:
        os.chdir(here)


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (make_pipe, "a pipe"),
        (make_socket, "a socket"),
        (lambda path: path.mkdir(), "a folder"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
    ],
)
@pytest.mark.parametrize("name", [M1, f"{M1}.parquet"])
def test_what_is_no_file_is_not_opened(
    make: Callable[[Path], None], kind: str, name: str, tmp_path: Path
) -> None:
    make(tmp_path / name)
    with pytest.raises(InputError, match=f"{kind}, not a file"):
        read_event_list(tmp_path / name)
    with pytest.raises(InputError, match=f"{kind}, not a file"):
        read_source_list(tmp_path / name)
    assert file_identity(tmp_path / name)["checksum"] == ""
    files = ObservationFiles(OBSID, (tmp_path / name,), ())
    assert f"{kind}, not a file" in predict(files, Config()).problem


def test_links_to_folders_are_followed(tmp_path: Path) -> None:
    there = tmp_path / "elsewhere" / OBSID
    there.mkdir(parents=True)
    (there / NAME).write_bytes(SOUND)
    (there / "round").symlink_to(tmp_path / "elsewhere")
    given_folder = tmp_path / "survey"
    given_folder.mkdir()
    (given_folder / OBSID).symlink_to(there)
    (observation,), problems = find_observations([given_folder])
    assert problems == []
    assert [path.name for path in observation.event_lists] == [NAME]


def test_one_header_does_not_end_the_prediction_of_all(tmp_path: Path) -> None:
    observations = []
    bad = (
        ("NAXIS2", "'NaN'"),
        ("NAXIS2", "1E400"),
        ("TSTART", "1E400"),
        ("TSTOP", "4     6.5E8"),
        None,
    )
    hdus = event_hdus(n=N_ROWS)
    hdus["EVENTS"].header.update({"TSTART": 6e8, "TSTOP": 6e8 + 100})
    content = content_of(hdus)
    for number, change in enumerate(bad):
        path = tmp_path / str(number) / NAME
        path.parent.mkdir()
        path.write_bytes(with_card(content, *change) if change else content)
        observations.append(ObservationFiles(f"090000010{number}", (path,), ()))
    predictions = list(predict_many(observations, Config()))
    assert [bool(found.problem) for found in predictions] == [True, True, False, True, False]
    # Without a start, the exposure may be as long as any.
    assert predictions[2].memory_mb > predictions[4].memory_mb
    assert all(np.isfinite(found.memory_mb) for found in predictions)


# --- columns ---------------------------------------------------------------------------------

FLAGS = np.array([0, 1, 0x766BA000, 0x80000000, 0xFFFFFFFF, 0x40000001], np.uint64)


def bits(n: int) -> np.ndarray:
    places = np.arange(n - 1, -1, -1, dtype=np.uint64)
    return ((FLAGS[:, None] >> places) & np.uint64(1)).astype(bool)


COLUMNS: dict[str, Callable[[], fits.Column]] = {
    "32 bits": lambda: fits.Column("FLAG", "32X", array=bits(32)),
    "40 bits": lambda: fits.Column("FLAG", "40X", array=bits(40)),
    "unsigned": lambda: fits.Column("FLAG", "J", bzero=2**31, array=FLAGS.astype(np.uint32)),
    "64 bits": lambda: fits.Column("FLAG", "K", array=FLAGS.astype(np.int64)),
    "unsigned, 64 bits": lambda: fits.Column("FLAG", "K", bzero=2**63, array=FLAGS),
    "double precision": lambda: fits.Column("FLAG", "D", array=FLAGS.astype(float)),
    "signed": lambda: fits.Column("FLAG", "J", array=FLAGS.astype(np.uint32).view(np.int32)),
}


def with_column(column: fits.Column) -> bytes:
    n = len(column.array)
    columns = [
        column if name == column.name else fits.Column(name, code, array=values_of(n)[name])
        for name, code in FORMATS.items()
    ]
    hdus = event_hdus(n=n)
    table = fits.BinTableHDU.from_columns(columns, name="EVENTS")
    table.header.update(HEADER)
    for card in hdus["EVENTS"].header["REF*"].cards:
        table.header.append(card)
    return content_of(fits.HDUList([hdus[0], table]))


@pytest.mark.parametrize("kind", COLUMNS)
def test_flags_of_any_type_are_bits(kind: str, tmp_path: Path) -> None:
    _, events = read(tmp_path, with_column(COLUMNS[kind]()))
    assert events.flag.dtype == np.int32
    assert events.flag.view(np.uint32).tolist() == FLAGS.tolist()


@pytest.mark.parametrize(
    "column",
    [
        fits.Column("FLAG", "L", array=np.ones(6, bool)),
        fits.Column("FLAG", "2J", array=np.ones((6, 2), np.int32)),
        fits.Column("FLAG", "4A", array=["0"] * 6),
        fits.Column("FLAG", "D", array=FLAGS + 0.5),
        fits.Column("FLAG", "K", array=FLAGS.astype(np.int64) << 1),
        fits.Column("FLAG", "40X", array=np.ones((6, 40), bool)),
        fits.Column("FLAG", "PJ()", array=[[1]] * 6),
        fits.Column("PI", "E", array=np.arange(6) + 0.25),
        fits.Column("RAWX", "C", array=np.ones(6, complex)),
    ],
    ids=lambda column: f"{column.name} {column.format}",
)
def test_what_cannot_be_exact_is_refused(column: fits.Column, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=column.name):
        read(tmp_path, with_column(column))


def test_missing_positions_are_those_of_the_header(tmp_path: Path) -> None:
    x = np.array([25_000, -1, 25_001, 25_002], np.int32)
    _, events = read(tmp_path, with_column(fits.Column("X", "J", array=x, null=-1)))
    assert events.x.tolist() == [25_000, -99999999, 25_001, 25_002]


def test_names_of_columns_and_extensions_in_small_letters(tmp_path: Path) -> None:
    content = SOUND.replace(b"'EVENTS  '", b"'Events  '")
    for name in FORMATS:
        old, new = f"'{name:<8}'", f"'{name.lower():<8}'"
        content = content.replace(old.encode(), new.encode())
    exposure, events = read(tmp_path, content)
    assert len(events) == N_ROWS
    assert exposure.instrument == "EMOS1"


def test_a_column_that_is_there_twice(tmp_path: Path) -> None:
    content = with_card(SOUND, "TTYPE4", "'PI      '")
    with pytest.raises(InputError, match="more than one column PI"):
        read(tmp_path, content)


# --- source lists ----------------------------------------------------------------------------


@pytest.mark.parametrize("change", [("NAXIS2", "3"), ("NAXIS2", "2"), ("PCOUNT", "-2880")])
def test_source_lists_are_counted_too(change: tuple[str, str], tmp_path: Path) -> None:
    content = content_of(fits.HDUList([fits.PrimaryHDU(), source_hdu()]))
    (tmp_path / SOURCES).write_bytes(with_card(content, *change))
    with pytest.raises(InputError, match=SOURCES):
        read_source_list(tmp_path / SOURCES)


def test_rows_behind_the_last_source(tmp_path: Path) -> None:
    content = content_of(fits.HDUList([fits.PrimaryHDU(), source_hdu(RA=[10.0, 10.1, 10.2, 10.3])]))
    (tmp_path / SOURCES).write_bytes(with_card(content, "NAXIS2", "6"))
    sources, notes = read_source_list(tmp_path / SOURCES)
    assert len(sources) == 4
    assert "2 sources without a possible position" in notes[0]
