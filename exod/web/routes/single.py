"""One source, detection or observation: what the pages show of it, for programs."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Path, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from exod.schemas.kinds import OBSID_FORM
from exod.web import single
from exod.web.routes.common import ProductNow, versioned_router

router = versioned_router("source")

Row = dict[str, Any]
Columns = dict[str, list[Any]]
Number = Annotated[int, Path(ge=0, lt=1 << 63)]
Detid = Annotated[str, Path(max_length=100)]
Obsid = Annotated[str, Path(pattern=f"^{OBSID_FORM}$")]
Offset = Annotated[int, Query(ge=0, lt=1 << 63)]

MOST_SIMILAR = 1_000
MOST_CHANGES = 10_000


class SourceAnswer(BaseModel):
    """A source and the rows that belong to it."""

    source: Row
    detections: list[Row]
    coverage: list[Row]
    lineage: list[Row]


class RowsBeside(BaseModel):
    """Rows of a file whose column ``key`` has one of the values; all of them without a key."""

    key: str
    values: list[str]
    rows: list[Row]


class PageOfSource(BaseModel):
    """What the page of a source shows, and the numbers of the sources beside it."""

    rows: dict[str, list[Row]]
    others: dict[str, RowsBeside]
    before: int | None
    after: int | None


class ObservationAnswer(BaseModel):
    """An observation and the rows that belong to it."""

    observation: Row | None
    exposures: list[Row]
    runs: list[Row]
    detections: list[Row]


class CurveAnswer(BaseModel):
    """A light curve, a list a column."""

    detid: str
    region_num: int
    obsid: str
    t_bin: float
    e_lo: float
    e_hi: float
    columns: Columns


class PhotonAnswer(BaseModel):
    """Photons, a list a column."""

    region_num: int
    total: int
    units: dict[str, str]
    columns: Columns


class SimilarCurve(BaseModel):
    """A light curve that is like another one."""

    region_num: int
    srcid: str
    detid: str
    distance: float


class SimilarAnswer(BaseModel):
    """The light curves that are most like one of a source, the nearest first."""

    region_num: int
    detid: str
    similar: list[SimilarCurve]


class LineageAnswer(BaseModel):
    """What became of sources."""

    total: int
    rows: list[Row]


@router.get("/sources/{number}")
def source(product: ProductNow, number: Number) -> SourceAnswer:
    """A source, its detections, the observations that covered it, and what became of it."""
    return SourceAnswer(**single.source(product, number))


@router.get("/pages/source/{number}", response_model=PageOfSource)
def page_of_source(product: ProductNow, number: Number) -> Response:
    """What the page of a source shows but for light curves and photons, all at once."""
    return JSONResponse(single.page_of_source(product, number))


@router.get("/detections/{detid}")
def detection(product: ProductNow, detid: Detid) -> Row:
    """All columns of a detection, with null where a value is missing."""
    return single.detection(product, detid)


@router.get("/lightcurves/{detid}", response_model=CurveAnswer)
def light_curve(product: ProductNow, detid: Detid) -> Response:
    """The light curve of a detection, a list a column."""
    return JSONResponse(single.light_curve(product, detid))


@router.get("/photons/{number}", response_model=PhotonAnswer)
def photons(
    product: ProductNow,
    number: Number,
    obsid: Annotated[str, Query(pattern=f"^({OBSID_FORM})?$")] = "",
    limit: Annotated[int, Query(ge=0, le=single.MOST_PHOTONS)] = 100_000,
    offset: Offset = 0,
) -> Response:
    """The photons within an arcmin of a source in order of time, a list a column."""
    return JSONResponse(single.photons(product, number, obsid, limit, offset))


@router.get(
    "/cutouts/{number}.png",
    response_class=Response,
    responses={200: {"content": {"image/png": {}}, "description": "The picture"}},
)
def cutout(product: ProductNow, number: Number) -> Response:
    """The finder of a source: counts of the cells around it, north up and east left."""
    return Response(single.finder(product, number), media_type="image/png")


@router.get("/similar/{number}")
def similar(
    product: ProductNow,
    number: Number,
    detid: Annotated[str, Query(max_length=100)] = "",
    limit: Annotated[int, Query(ge=0, le=MOST_SIMILAR)] = 12,
) -> SimilarAnswer:
    """The light curves most like one of a source, that of its best detection unless one is named.

    One of each other source, the nearest first.
    """
    return SimilarAnswer(**single.similar(product, number, detid, limit))


@router.get("/obs/{obsid}")
def observation(product: ProductNow, obsid: Obsid) -> ObservationAnswer:
    """An observation, its exposures, runs and detections."""
    return ObservationAnswer(**single.observation(product, obsid))


@router.get("/lineage")
def lineage(
    product: ProductNow,
    source: Annotated[int | None, Query(ge=0, lt=1 << 63)] = None,
    limit: Annotated[int, Query(ge=0, le=MOST_CHANGES)] = 1_000,
    offset: Offset = 0,
) -> LineageAnswer:
    """What became of sources, or of one of them: new, merged, split, gone ..., oldest first."""
    return LineageAnswer(**single.lineage(product, source, limit, offset))
