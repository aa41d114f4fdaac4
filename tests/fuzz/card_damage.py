"""Damage to headers: values that lie, cards that are missing or twice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fuzz import layout
from fuzz.layout import CARD, Hdu

Generator = np.random.Generator

NUMBERS = (
    *("0", "1", "-1", "2", "3", "8", "16", "-32", "-64", "-2880", "2880", "5760", "0.5", "-0.0"),
    *("NaN", "Infinity", "1E400", "-1E400", "1E300", "-1E-300", "4294967296", "2147483647"),
    *("-2147483648", "9223372036854775807", "99999999999999999999", "1E5", "0x10", "1,000", "T"),
)
TEXTS = ("", " ", "NaN", "0", "-1", "x" * 60, "It''s", "EVENTS", "IMAGE", "TABLE", "BINTABLE")
BY_KEYWORD = {
    "FILTER": ("Closed", "CalClosed", "UNDEFINED", "Thin1", "closed", "Nobody"),
    "OBS_MODE": ("SLEW", "slew", "POINTING", "UNKNOWN"),
    "DATAMODE": ("TIMING", "BURST", "imaging"),
    "SUBMODE": ("PrimeFullWindow", "PrimePartialW2", "PrimeLargeWindow", "FastUncompressed"),
    "INSTRUME": ("EPN", "EMOS1", "EMOS2", "RGS1", "emos1"),
    "TELESCOP": ("XMM", "CHANDRA", "xmm"),
    "TIMESYS": ("TDB", "UTC", "tt"),
    "TIMEREF": ("SOLARSYSTEM", "LOCAL"),
    "OBS_ID": ("0000000000", "123", "0900000999"),
    "XTENSION": ("IMAGE", "TABLE", "BINTABLE", "A3DTABLE", "bintable"),
    "EXTNAME": ("EVENTS", "events", "EVENT", "STDGTI01", "SRCLIST", ""),
    "TFORM": ("1J", "J", "I", "E", "D", "B", "L", "2I", "0D", "8A", "32X", "PJ(10)", "999999999J"),
    "TTYPE": ("TIME", "time", "PI", "X", "x", "Y", "FLAG", "RA", "DEC", "EP_DET_ML", "NOTHING"),
    "TUNIT": ("s", "ms", "d", "deg", "rad", "eV", "keV", "arcsec", "nothing"),
    "REFXCTYP": ("RA---TAN", "RA---SIN", "GLON-TAN"),
}
STRUCTURE = (
    *("NAXIS", "NAXIS1", "NAXIS2", "PCOUNT", "GCOUNT", "TFIELDS", "BITPIX", "XTENSION", "EXTNAME"),
    *("TFORM1", "TFORM6", "TTYPE1", "TTYPE6", "TTYPE2", "SIMPLE", "EXTEND"),
)
NEW = (
    *("TNULL1", "TNULL2", "TNULL6", "TNULL9", "TSCAL1", "TSCAL6", "TSCAL9", "TZERO1", "TZERO6"),
    *("TZERO9", "TDIM1", "THEAP", "CHECKSUM", "DATASUM", "TIMEZERO", "MJDREFI", "EXTVER", "GROUPS"),
    *("BLANK", "BSCALE", "INHERIT", "TUNIT1", "TLMAX6"),
)


def card(keyword: str, value: str, *, is_text: bool) -> bytes:
    """A card in the fixed format."""
    shown = f"'{value:<8}'" if is_text else f"{value:>20}"
    return f"{keyword:<8}= {shown}".encode()[:CARD].ljust(CARD)


def table_or_any(generator: Generator, content: bytes) -> Hdu | None:
    """The first table more often than any other part."""
    hdus = layout.before_fault(content)
    tables = [hdu for hdu in hdus if hdu.is_table]
    if tables and generator.random() < 0.7:
        return tables[0]
    return hdus[int(generator.integers(len(hdus)))] if hdus else None


def with_cards(content: bytes, hdu: Hdu, lines: list[bytes]) -> bytes:
    """The file with another header."""
    return content[: hdu.start] + layout.header(lines) + content[hdu.data :]


def keyword_of(line: bytes) -> str:
    return line[:8].decode("latin-1").strip()


def _chosen(generator: Generator, lines: list[bytes]) -> int:
    """Place of a card, those of the structure more often."""
    wanted = [i for i, line in enumerate(lines) if keyword_of(line) in STRUCTURE]
    if wanted and generator.random() < 0.5:
        return wanted[int(generator.integers(len(wanted)))]
    valued = [i for i, line in enumerate(lines) if line[8:10] == b"= "]
    return valued[int(generator.integers(len(valued)))]


def _near(generator: Generator, number: str) -> str:
    """A number that is not far from one."""
    value = float(number)
    changes = (value * 10, value / 10, value + 1, value - 1, -value, value * 2, value // 2)
    changed = changes[int(generator.integers(len(changes)))]
    return f"{changed:.0f}" if number.strip("+-").isdigit() else f"{changed:.14E}"


def new_value(generator: Generator, content: bytes) -> bytes:
    hdu = table_or_any(generator, content)
    if hdu is None:
        return content
    lines = layout.cards(content, hdu)
    i = _chosen(generator, lines)
    keyword = keyword_of(lines[i])
    is_text = lines[i][10:11] == b"'"
    known = BY_KEYWORD.get(keyword.rstrip("0123456789"), ())
    chance = generator.random()
    if known and chance < 0.6:
        value, is_text = str(generator.choice(known)), True
    elif not is_text and chance < 0.3:
        number = lines[i][10:].partition(b"/")[0].strip().decode()
        value = _near(generator, number) if number not in {"T", "F", ""} else "F"
    else:
        is_text = bool(is_text if generator.random() < 0.7 else not is_text)
        value = str(generator.choice(TEXTS if is_text else NUMBERS))
    lines[i] = card(keyword, value, is_text=is_text)
    return with_cards(content, hdu, lines)


def without(generator: Generator, content: bytes) -> bytes:
    hdu = table_or_any(generator, content)
    if hdu is None:
        return content
    lines = layout.cards(content, hdu)
    del lines[_chosen(generator, lines)]
    return with_cards(content, hdu, lines)


def twice(generator: Generator, content: bytes) -> bytes:
    """A card again, with its value or another, near it or at the end."""
    hdu = table_or_any(generator, content)
    if hdu is None:
        return content
    lines = layout.cards(content, hdu)
    i = _chosen(generator, lines)
    again = lines[i]
    if generator.random() < 0.7:
        again = card(keyword_of(again), str(generator.choice(NUMBERS)), is_text=False)
    lines.insert(i + 1 if generator.random() < 0.5 else len(lines), again)
    return with_cards(content, hdu, lines)


def new_card(generator: Generator, content: bytes) -> bytes:
    """A card that changes what others mean."""
    hdu = table_or_any(generator, content)
    if hdu is None:
        return content
    lines = layout.cards(content, hdu)
    is_text = bool(generator.random() < 0.2)
    value = str(generator.choice(TEXTS if is_text else NUMBERS))
    lines.append(card(str(generator.choice(NEW)), value, is_text=is_text))
    return with_cards(content, hdu, lines)


def swapped_values(generator: Generator, content: bytes) -> bytes:
    """Two cards exchange their keywords."""
    hdu = table_or_any(generator, content)
    if hdu is None:
        return content
    lines = layout.cards(content, hdu)
    i, j = _chosen(generator, lines), _chosen(generator, lines)
    lines[i], lines[j] = lines[i][:8] + lines[j][8:], lines[j][:8] + lines[i][8:]
    return with_cards(content, hdu, lines)


def spoiled_text(generator: Generator, content: bytes) -> bytes:
    """A card with characters that do not belong there."""
    hdu = table_or_any(generator, content)
    if hdu is None:
        return content
    lines = layout.cards(content, hdu)
    i = _chosen(generator, lines)
    line = bytearray(lines[i])
    for _ in range(int(generator.integers(1, 6))):
        line[int(generator.integers(CARD))] = int(generator.integers(256))
    lines[i] = bytes(line)
    return with_cards(content, hdu, lines)


def everywhere(generator: Generator, content: bytes) -> bytes:
    """Another reference of the sky or of time in all headers, as of another exposure."""
    changes = {
        "REFXCRVL": f"{generator.uniform(0, 360):.10E}",
        "REFYCRVL": f"{generator.uniform(-90, 90):.10E}",
        "REFXCRPX": str(int(generator.integers(1, 51840))),
        "REFXCDLT": f"{10 ** generator.uniform(-6, 0):.10E}",
        "MJDREF": str(generator.choice(["50814.0", "51544.5", "0.0"])),
        "TIMEZERO": f"{generator.uniform(-1e3, 1e3):.10E}",
        "TIMESYS": "'TDB     '",
        "TIMEREF": "'SOLARSYSTEM'",
        "OBS_ID": "'0900000999'",
        "INSTRUME": str(generator.choice(["'EMOS1   '", "'EMOS2   '", "'EPN     '"])),
        "SUBMODE": str(generator.choice(["'PrimePartialW2'", "'PrimeLargeWindow'"])),
        "TSTART": f"{generator.uniform(0, 8e8):.10E}",
        "TSTOP": f"{generator.uniform(0, 8e8):.10E}",
        "EXPIDSTR": "'S009    '",
    }
    keyword = str(generator.choice(list(changes)))
    pieces = []
    for hdu in layout.before_fault(content):
        lines = [
            f"{keyword:<8}= {changes[keyword]:>20}".encode().ljust(CARD)
            if keyword_of(line) == keyword
            else line
            for line in layout.cards(content, hdu)
        ]
        pieces += [layout.header(lines), content[hdu.data : hdu.stop]]
    return b"".join(pieces) or content


DAMAGES: dict[str, tuple[int, Callable[[Generator, bytes], bytes]]] = {
    "new value of a card": (16, new_value),
    "missing card": (5, without),
    "card twice": (4, twice),
    "new card": (5, new_card),
    "swapped cards": (3, swapped_values),
    "spoiled card": (4, spoiled_text),
    "other reference": (5, everywhere),
}
