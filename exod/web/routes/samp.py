"""Sending a selection or a place to other programs of the desktop, by SAMP."""

from __future__ import annotations

from typing import Annotated, Final
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, Field

from exod.errors import ConfigError
from exod.web.routes.common import FORBIDDEN, PROBLEMS, PlainText, ProductNow, chosen_of
from exod.web.security import LOOPBACK
from exod.web.vo import samp

router = APIRouter(prefix="/api/v1", tags=["samp"], responses=PROBLEMS | FORBIDDEN)

LONGEST_ADDRESS: Final = 8_000

_READERS: Final = frozenset(("127.0.0.1", "::1"))


class Sent(BaseModel):
    """What is sent: a place, or the rows that an address chooses.

    Attributes
    ----------
    place : tuple of float, optional
        Right ascension and declination in degrees, ICRS.
    state : dict of str to str
        What an address says, with ``table``.
    """

    model_config = ConfigDict(extra="forbid")

    place: (
        tuple[
            Annotated[float, Field(ge=0, le=360, allow_inf_nan=False)],
            Annotated[float, Field(ge=-90, le=90, allow_inf_nan=False)],
        ]
        | None
    ) = None
    state: dict[PlainText, PlainText] = Field({}, max_length=100)


class Told(BaseModel):
    """Who was told.

    Attributes
    ----------
    told : list of str
        The names of the programs.
    """

    told: list[str]


@router.post("/samp")
def send(request: Request, product: ProductNow, sent: Sent) -> Told:
    """Tell the programs of the desktop; only for readers at the machine of the server itself."""
    host = request.client.host if request.client else ""
    # A proxy in front of the server comes from this machine, too, and has another name.
    own = request.headers.get("host", "").rpartition(":")
    named = own[0] if own[2].isdigit() else "".join(own)
    if request.app.state.settings.public or host not in _READERS or named not in LOOPBACK:
        raise HTTPException(403, "SAMP is for readers at the machine of the server only.")
    if sent.place:
        ra, dec = sent.place
        return Told(told=samp.tell(samp.POINT, {"ra": repr(ra), "dec": repr(dec)}))
    chosen = chosen_of(product, sent.state)
    query = urlencode({**sent.state, "table": chosen.table})
    if len(query) > LONGEST_ADDRESS:
        raise ConfigError("The choice is too long to be sent; choose with fewer words.")
    address = f"{request.base_url}api/v1/export.vot?{query}"
    return Told(told=samp.tell(samp.TABLE, {"url": address, "name": f"exod {chosen.table}"}))
