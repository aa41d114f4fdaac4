"""Cone search by pyvo, and the record for registries."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import numpy as np
import pytest
import pyvo
from astropy.coordinates import SkyCoord, angular_separation
from astropy.io import votable
from helpers.query_archives import make_queried
from helpers.web_server import served
from starlette.testclient import TestClient

from exod.stages.explore.making import make_explorer
from exod.web.app import make_app
from exod.web.product import Product

# pyvo leaves its connections open until they are collected.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    archive = make_queried(tmp_path_factory.mktemp("cones") / "results", 6, 2)
    make_explorer(archive)
    return archive


@pytest.fixture(scope="module")
def scs(archive):
    with served(archive) as base:
        yield pyvo.dal.SCSService(f"{base}vo/scs")


@pytest.fixture
def client(archive):
    with TestClient(make_app(archive), base_url="http://127.0.0.1:8765") as client:
        yield client


@pytest.fixture(scope="module")
def sources(archive):
    with Product(archive).connected(["sources"]) as connection:
        return connection.execute("SELECT srcid, ra_deg, dec_deg FROM sources").df()


@pytest.mark.parametrize("radius", [1e-4, 0.1, 30.0, 179.9])
def test_a_cone_has_the_sources_in_it_the_nearest_first(scs, sources, radius):
    centre = sources.iloc[0]
    found = scs.search(pos=(centre["ra_deg"], centre["dec_deg"]), radius=radius, verbosity=3)
    there = np.degrees(
        angular_separation(
            *np.radians([centre["ra_deg"], centre["dec_deg"]]),
            *np.radians([sources["ra_deg"], sources["dec_deg"]]),
        )
    )
    near = np.argsort(there)[: (there <= radius).sum()]
    assert [row.id for row in found] == list(sources["srcid"].iloc[near])
    here = SkyCoord(centre["ra_deg"], centre["dec_deg"], unit="deg")
    assert all(row.pos.separation(here).deg <= radius for row in found)


@pytest.mark.parametrize("place", [(0.0, 90.0), (0.0, -90.0), (360.0, 0.0), (-0.001, 10.0)])
def test_poles_and_right_ascension_zero(scs, sources, place):
    there = angular_separation(
        *np.radians(place), *np.radians([sources["ra_deg"], sources["dec_deg"]])
    )
    radius = float(np.degrees(np.median(there)))
    found = scs.search(pos=place, radius=radius)
    assert len(found) == (np.degrees(there) <= radius).sum() > 0


def test_verbosity_and_limits(client):
    columns = []
    for verbosity in (1, 2, 3):
        answer = client.get(f"/vo/scs?RA=0&DEC=0&SR=180&VERB={verbosity}&MAXREC=3")
        table = votable.parse(io.BytesIO(answer.content))
        columns.append(len(table.get_first_table().fields))
        assert len(table.get_first_table().array) == 3
        assert table.resources[0].infos[-1].value == "OVERFLOW"
        ucds = [field.ucd for field in table.get_first_table().fields]
        for ucd in ("ID_MAIN", "POS_EQ_RA_MAIN", "POS_EQ_DEC_MAIN"):
            assert ucds.count(ucd) == 1
    assert columns == sorted(set(columns))


def test_a_radius_of_zero_asks_for_the_columns(client):
    answer = client.get("/vo/scs?ra=0&dec=0&sr=0")
    table = votable.parse(io.BytesIO(answer.content)).get_first_table()
    assert (len(table.array), len(table.fields) > 5) == (0, True)


@pytest.mark.parametrize(
    "query",
    [
        *("", "RA=1&DEC=2", "RA=x&DEC=2&SR=1", "RA=1&DEC=91&SR=1", "RA=1&DEC=2&SR=-1"),
        *("RA=nan&DEC=2&SR=1", "RA=1&DEC=2&SR=1e999", "RA=1&DEC=2&SR=1&VERB=4"),
        *("RA=1&DEC=2&SR=1&MAXREC=-1", "RA=<script>&DEC=2&SR=1", "RA=1&DEC=2&SR=181"),
    ],
)
def test_errors_are_votables(client, query):
    answer = client.get(f"/vo/scs?{query}")
    assert answer.status_code == 200
    infos = votable.parse(io.BytesIO(answer.content)).resources[0].infos
    assert infos[0].name == "Error"
    assert infos[0].value.endswith(".")
    assert "<script>" not in answer.text


def test_the_record_is_for_a_registry(client):
    answer = client.get("/vo/resource.xml?authority=example.org&name=A%26B<i>&email=a@example.org")
    record = ElementTree.fromstring(answer.content)
    assert record.findtext("identifier").startswith("ivo://example.org/exod/")
    assert record.findtext("curation/publisher") == "A&B<i>"
    kinds = {one.get("standardID") for one in record.iter("capability")}
    assert {"ivo://ivoa.net/std/ConeSearch", "ivo://ivoa.net/std/TAP"} <= kinds
    names = [one.text for one in record.findall("tableset/schema/table/name")]
    assert "exod.sources" in names
    urls = [url.text for url in record.iter("accessURL")]
    assert all(url.startswith("http://127.0.0.1:8765/vo/") for url in urls)
    assert client.get("/vo/resource.xml?authority=a/../b").status_code == 400
