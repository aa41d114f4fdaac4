"""Text files that people bring, whatever their editor put before the first letter."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Final

from exod.errors import ConfigError

_MARKS: Final = (
    # The mark of UTF-16 begins that of UTF-32.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
"""Byte order marks (Unicode 15, section 23.8), and what is read with them."""

_NO_TEXT: Final = {
    b"PK\x03\x04": "it is a spreadsheet or another packed file; save it as CSV or plain text",
    b"\xd0\xcf\x11\xe0": "it is an old spreadsheet or document; save it as CSV or plain text",
    b"\x1f\x8b": "it is compressed; unpack it first",
}


def decoded(content: bytes) -> str:
    r"""The text of a file in UTF-8, or in what its byte order mark says.

    Raises
    ------
    ValueError
        If it is no text; its message says what it is instead. It is a `UnicodeDecodeError` if it
        is text in another encoding, or damaged.

    Examples
    --------
    >>> decoded("\ufeffa = 1\r\n".encode("utf-16")), decoded(b"\xef\xbb\xbfa = 1")
    ('a = 1\n', 'a = 1')
    """
    for start, reason in _NO_TEXT.items():
        if content.startswith(start):
            raise ValueError(reason)
    encoding = next((name for mark, name in _MARKS if content.startswith(mark)), "utf-8")
    text = content.decode(encoding)
    if "\0" in text:
        raise ValueError("it is no text: it has zero bytes")
    # A mark can be there twice, of files that were joined or saved again.
    return text.lstrip("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def read_text(path: str | Path, what: str) -> str:
    """Read a text file that a user gives.

    Parameters
    ----------
    path : path
        The file.
    what : str
        What it is, with which the sentence of an error begins.

    Raises
    ------
    ConfigError
        If it cannot be read or is no text.
    """
    try:
        return decoded(Path(path).read_bytes())
    except OSError as error:
        raise ConfigError(f"{what} {path} cannot be read: {error.strerror or error}.") from error
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{what} {path} cannot be read: it is no text in UTF-8 (byte {error.start + 1})."
        ) from error
    except ValueError as error:
        raise ConfigError(f"{what} {path} cannot be read: {error}.") from error
