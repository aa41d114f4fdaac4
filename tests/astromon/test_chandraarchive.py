"""The public archive of Chandra, on a local server that behaves and misbehaves like one."""

from __future__ import annotations

import pytest
from helpers.chandra_files import event_list
from helpers.fake_archive import FakeArchive, Reply, ftz
from helpers.processes import LONGEST

from exod.astromon.observation import ID_CATEGORY_MAP, Observation
from exod.astromon.process.chandraarchive import ChandraArchive
from exod.astromon.process.description import catalogue_row, category_id, sequence_summary
from exod.errors import DownloadError, InputError
from exod.pps.transfer import Transport

EVENTS = "acisf08007N002_evt2.fits.gz"
ASPECT = "pcadf08007_000N001_asol1.fits.gz"
MASK = "acisf08007_000N002_msk1.fits.gz"
OTHERS = ("acisf08007_000N002_evt1.fits.gz", "acisf80071N001_evt2.fits.gz", "axaff08007_vv2.pdf")


@pytest.fixture
def server():
    archive = FakeArchive()
    yield archive
    archive.close()


@pytest.fixture
def transport():
    client = Transport(attempts=3, timeout=LONGEST, connections=1, sleep=lambda _: None)
    yield client
    client.close()


def page(*names: str) -> Reply:
    rows = "".join(f'<a href="{name}">{name[:20]}..</a>\n' for name in names)
    return Reply(f'<html><a href="../">Parent</a>{rows}</html>'.encode())


@pytest.fixture
def filled(server):
    """The archive with one observation."""
    server.replies["7/8007/primary/"] = [page(EVENTS, ASPECT, *OTHERS)]
    server.replies["7/8007/secondary/"] = [page(MASK)]
    for folder, name in (("primary", EVENTS), ("primary", ASPECT), ("secondary", MASK)):
        server.replies[f"7/8007/{folder}/{name}"] = [Reply(ftz(name, 50_000))]
    return server


def test_what_is_asked_for_comes_and_comes_once(filled, transport, tmp_path):
    archive = ChandraArchive(filled.heasarc)
    files = archive.fetch("8007", ["evt2", "asol", "msk", "dtf"], tmp_path, transport)
    wanted = {f"primary/{EVENTS}", f"primary/{ASPECT}", f"secondary/{MASK}"}
    assert {str(path.relative_to(tmp_path)) for path in files} == wanted
    assert {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()} == wanted
    assert (tmp_path / "primary" / EVENTS).read_bytes() == ftz(EVENTS, 50_000)
    filled.requests.clear()
    assert len(archive.fetch("8007", ["evt2", "asol", "msk"], tmp_path, transport)) == 3
    assert filled.requests == []


def test_aspect_files_that_are_named_after_their_time(filled, transport, tmp_path):
    old = ["pcadf053035261N003_asol1.fits.gz", "pcadf053036614N003_asol1.fits.gz"]
    filled.replies["7/8007/primary/"] = [page(EVENTS, *old, "orbitf052920300N001_eph1.fits.gz")]
    for name in old:
        filled.replies[f"7/8007/primary/{name}"] = [Reply(ftz(name, 50_000))]
    archive = ChandraArchive(filled.heasarc)
    files = archive.fetch("8007", ["asol", "evt2"], tmp_path, transport)
    assert [path.name for path in files] == [*old, EVENTS]
    filled.requests.clear()
    assert len(archive.fetch("8007", ["asol"], tmp_path, transport)) == 2
    assert filled.requests == []
    # Where there are files of both names, they are the same.
    filled.replies["7/8007/primary/"] = [page(EVENTS, *old, ASPECT)]
    files = archive.fetch("8007", ["asol"], tmp_path / "both", transport)
    assert [path.name for path in files] == [ASPECT]


def test_index_pages_with_whole_addresses(filled, transport, tmp_path):
    links = "".join(f'<a href="/cdaftp/byobsid/7/8007/primary/{n}">x</a>' for n in (EVENTS, ASPECT))
    filled.replies["7/8007/primary/"] = [Reply(links.encode())]
    files = ChandraArchive(filled.heasarc).fetch("8007", ["evt2", "asol"], tmp_path, transport)
    assert [path.name for path in files] == [EVENTS, ASPECT]


def test_an_interrupted_download_goes_on(filled, transport, tmp_path):
    archive = ChandraArchive(filled.heasarc)
    place = f"7/8007/secondary/{MASK}"
    whole = filled.replies[place]
    filled.replies[place] = [Reply(ftz(MASK, 50_000), kind="cut")]
    with pytest.raises(DownloadError, match="archive of Chandra broke off the connection"):
        archive.fetch("8007", ["evt2", "msk"], tmp_path, transport)
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == [EVENTS]
    filled.replies[place] = whole
    filled.requests.clear()
    archive.fetch("8007", ["evt2", "msk"], tmp_path, transport)
    assert filled.requests == ["7/8007/primary/", "7/8007/secondary/", place]


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (Reply(ftz(EVENTS, 50_000)[:9000]), "gives a damaged acisf08007N002_evt2"),
        (Reply(b"<html><title>Down</title></html>"), "something that is no data: 'Down'"),
        (Reply(status=503), r"out of order \(HTTP 503\)"),
    ],
)
def test_damaged_answers_leave_nothing(filled, transport, tmp_path, reply, sentence):
    filled.replies[f"7/8007/primary/{EVENTS}"] = [reply]
    with pytest.raises(DownloadError, match=sentence):
        ChandraArchive(filled.heasarc).fetch("8007", ["evt2"], tmp_path, transport)
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_a_damaged_file_is_fetched_again(filled, transport, tmp_path):
    (tmp_path / "primary").mkdir()
    (tmp_path / "primary" / EVENTS).write_bytes(ftz(EVENTS, 50_000)[:9000])
    ChandraArchive(filled.heasarc).fetch("8007", ["evt2"], tmp_path, transport)
    assert (tmp_path / "primary" / EVENTS).read_bytes() == ftz(EVENTS, 50_000)


def test_observations_that_are_not_there(filled, transport, tmp_path):
    archive = ChandraArchive(filled.heasarc)
    with pytest.raises(DownloadError, match="has no obsid 9: it does not exist, or is not public"):
        archive.fetch("9", ["evt2"], tmp_path, transport)
    filled.replies["7/8007/primary/"] = [page()]
    with pytest.raises(DownloadError, match="has no obsid 8007"):
        archive.fetch("8007", ["evt2"], tmp_path, transport)
    with pytest.raises(InputError, match="type evt9 are not known"):
        archive.fetch("8007", ["evt9"], tmp_path, transport)


def test_an_observation_from_the_archive_to_sources(filled, transport, tmp_path, monkeypatch):
    filled.replies[f"7/8007/primary/{EVENTS}"] = [Reply(event_list())]
    observation = Observation(8007, tmp_path, use_ciao=False, archive_url=filled.heasarc)
    observation.transport = transport
    monkeypatch.setattr("exod.astromon.process.description.OCAT", "unused")
    (observation.workdir / "seq_summary.json").write_text('{"category_id": 50}')
    observation.process()
    assert len(observation.get_sources()) == 2


def test_the_proposal_is_asked_for_once(server, transport, tmp_path):
    table = (
        "# comment\nSEQ_NUM\tOBSID\tPI_NAME\tOBSERVER\tTITLE\tCATEGORY\tOBS_CYCLE\n"
        "6N\t5N\t9S\t9S\t9S\t9S\t2S\n"
        "400991\t8007\tFeng\tA. B.\tWeighing\tNORMAL GALAXIES\t09\n"
    )
    server.replies["ocat"] = [Reply(table.encode())]
    url = server.heasarc + "/ocat"
    summary = sequence_summary(tmp_path, {"obsid": 8007}, url, transport)
    assert summary == {
        **{"Title": "Weighing", "PI": "Feng", "Observer": "A. B.", "Cycle": "09"},
        **{"Subject Category": "NORMAL GALAXIES", "category_id": 40},
    }
    assert server.queries[0] == {"obsid": ["8007"], "format": ["text"]}
    assert sequence_summary(tmp_path, {"obsid": 8007}, url, transport) == summary
    assert len(server.requests) == 1
    (tmp_path / "seq_summary.json").unlink()
    unknown = sequence_summary(tmp_path, {"obsid": 9, "title": "Own"}, url, transport)
    assert (unknown["category_id"], unknown["Title"]) == (200, "Own")
    assert unknown["Subject Category"] == "NO MATCH"
    assert not (tmp_path / "seq_summary.json").exists()


def test_categories_and_rows():
    names = [
        "Extragalactic Diffuse Emission & Surveys",
        "CLUSTERS OF GALAXIES",
        "BH AND NS BINARIES",
    ]
    assert [category_id(name) for name in names] == [60, 120, 30]
    assert category_id("SN, SNR AND ISOLATED NS") == 110
    # As the catalogue of observations and proposals of several years write them.
    for name, number in {
        **{"STARS AND WD": 10, "WD BINARIES AND CV": 20, "NORMAL GALAXIES": 40},
        **{"NORMAL GALAXIES: DIFFUSE EMISSION": 40, "NORMAL GALAXIES: X-RAY POPULATIONS": 40},
        **{"EXTRAGALACTIC DIFFUSE EMISSION": 60, "GALACTIC DIFFUSE EMISSION": 70},
        **{"GALACTIC DIFFUSE EMISSION AND SURVEYS": 70, "SOLAR SYSTEM": 100},
        **{"Solar System and Misc.": 100, "SN, SNR, and isolated NS": 110, "": 200, "NONE": 200},
        **{"ACTIVE GALAXIES AND QUASARS": 50, "EXTRAGALACTIC DIFFUSE EMISSION AND SURVEYS": 60},
    }.items():
        assert category_id(name) == number, name
    for number, name in ID_CATEGORY_MAP.items():
        assert category_id(name) == category_id(name.upper()) == number
    with pytest.raises(InputError, match="has no obsid 3"):
        catalogue_row("", 3)


def test_the_command_line_fetches_for_a_search(filled, tmp_path, command):
    def fetch(*more):
        arguments = ["download", "--mission", "chandra", "--to", str(tmp_path), "--cda-url"]
        return command(*arguments, filled.heasarc, *more)

    assert fetch("8007")[0] == 0
    names = {path.name for path in (tmp_path / "8007").rglob("*.gz")}
    assert {EVENTS, MASK} <= names
    n = len(filled.requests)
    assert fetch("8007")[0] == 0
    assert not any(EVENTS in str(request) for request in filled.requests[n:])
    code, _, said = fetch("0001730201")
    assert code != 0
    assert "0001730201 is no observation of chandra" in said
