"""Identifiers of observations."""

from __future__ import annotations

import re

from exod.errors import InputError

_OBSID = re.compile(r"[0-9]{10}")


def validate_obsid(obsid: str) -> str:
    """Return `obsid` if it is ten digits, as every XMM-Newton observation has.

    Raises
    ------
    InputError
        For anything else; an obsid becomes part of paths, so it is checked before use.

    Examples
    --------
    >>> validate_obsid("0001730201")
    '0001730201'
    """
    if not isinstance(obsid, str) or not _OBSID.fullmatch(obsid):
        raise InputError(f"{obsid!r} is not an observation identifier; it must be ten digits.")
    return obsid
