"""Keywords of a FITS header; those of the usual form are read without astropy's cards.

An event list has dozens of extensions, and of most of them only sizes and names are asked: to parse
their headers whole takes longer than to read all events.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import Any, Final

from astropy.io import fits

_CARD: Final = 80
_END: Final = b"END".ljust(_CARD)
_PLAIN: Final = re.compile(rb"([A-Z0-9_-]{1,8}) *")
_WITHOUT_VALUE: Final = (b"COMMENT ", b"HISTORY ", b" " * 8)
_VALUE: Final = re.compile(
    rb" *(?:(-?\d{1,18})|(-?\d{1,18}\.\d{0,18}(?:E[+-]?\d{1,3})?)"
    rb"|'((?:[^'&]|&(?! *'))*)'|([TF])) *(?:/[^']*)?"
)
"""A whole number, another number, a text without quotes and continuation, or a logical value."""


class Keywords:
    """Keywords of a header.

    Parameters
    ----------
    content : bytes
        The header, ASCII, in cards of 80 bytes.
    """

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._cards: dict[str, bytes] = {}
        self._repeated: set[str] = set()
        self._is_plain = self._find_cards()

    @cached_property
    def header(self) -> fits.Header:
        """All of them, as astropy has them."""
        return fits.Header.fromstring(self._content)

    def get(self, key: str, default: Any = None) -> Any:
        """A value, as `astropy.io.fits.Header.get` gives it."""
        if self._is_plain:
            card = self._cards.get(key)
            if card is None:
                return default
            if match := _VALUE.fullmatch(card):
                whole, number, text, logical = match.groups()
                if whole is not None or number is not None:
                    return int(whole) if number is None else float(number)
                return logical == b"T" if text is None else text.rstrip(b" ").decode()
        return self.header.get(key, default)

    def __contains__(self, key: str) -> bool:
        return key in (self._cards if self._is_plain else self.header)

    def is_repeated(self, key: str) -> bool:
        """Whether it is there more than once."""
        if self._is_plain:
            return key in self._repeated
        return key in self.header and self.header.count(key) > 1

    def _find_cards(self) -> bool:
        """Note the first card of each keyword; False if there are cards of another form."""
        key = ""
        for start in range(0, len(self._content), _CARD):
            card = self._content[start : start + _CARD]
            name = card[:8]
            if card == _END:
                return True
            if name in _WITHOUT_VALUE:
                key = ""
            elif name == b"CONTINUE" and key:
                # What it is part of is no plain value.
                self._cards[key] = b""
            elif card[8:10] == b"= " and len(card) == _CARD and _PLAIN.fullmatch(name):
                key = name.rstrip(b" ").decode()
                if key in self._cards:
                    self._repeated.add(key)
                self._cards.setdefault(key, card[10:])
            else:
                return False
        return False
