"""Observations with stand-ins for CIAO: every call, and what is left when one fails."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS
from helpers.chandra_files import packed, place_events, source_list
from helpers.fake_ciao import FakeCiao

from exod.astromon import observation as module
from exod.astromon.observation import Observation, Skipped, SkippedWithWarning
from exod.astromon.process.programs import CiaoError
from exod.errors import ConfigError, DownloadError, InputError

PARAMETERS = (
    'obs_id,i,h,8007,,,\ninstrume,s,h,"ACIS",,,\nobject,s,h,"NGC 1, the first",,,\n'
    'date-obs,s,h,"2008-10-04T00:44:07",,,\nra_nom,r,h,150.0,,,\ndec_nom,r,h,2.0,,,\n'
    "roll_nom,r,h,40.0,,,\nra_pnt,r,h,150.0,,,\ndec_pnt,r,h,2.0,,,\nroll_pnt,r,h,40.0,,,\n"
    'obs_mode,s,h,"POINTING",,,\nreadmode,s,h,"TIMED",,,\ndtycycle,i,h,0,,,\n'
    'ascdsver,s,h,"10.9.2",,,\nseq_num,s,h,"400991",,,\n'
)


@pytest.fixture
def fake(tmp_path: Path) -> FakeCiao:
    ciao = FakeCiao(tmp_path / "ciao")
    template = tmp_path / "template.src"
    source_list(template)
    ciao.make(
        "pget",
        "print({'dmkeypar value': '150.5', 'dmcoords x': '4096.5', 'dmcoords y': '4097',"
        " 'dmstat out_cntrd_phys': '4100.25,4111.5'}[' '.join(args)])",
    )
    ciao.make("dmcopy", "Path(args[1]).write_bytes(Path(args[0].split('[')[0]).read_bytes())")
    ciao.make("dmlist", "print(12)")
    ciao.make(
        "fluximage",
        "for kind in ('thresh.img', 'thresh.expmap', 'thresh.psfmap', 'flux.img'):\n"
        "    Path(f\"{values['outroot']}_{values['bands']}_{kind}\").write_text('image')",
    )
    copy = f".write_bytes(Path('{template}').read_bytes())"
    ciao.make("celldetect", f"Path(args[1]){copy}")
    ciao.make("wavdetect", f"Path(values['outfile']){copy}")
    return ciao


@pytest.fixture
def made(tmp_path, fake):
    """An observation with its files, as they come from the archive."""

    def make(**options) -> Observation:
        events = place_events(tmp_path / "work", **options)
        (events.parent / "acisf08007_000N002_fov1.fits.gz").write_bytes(b"")
        folder = events.parent.parent
        (folder / "secondary").mkdir()
        (folder / "seq_summary.json").write_text(json.dumps({"category_id": 50}))
        return Observation(8007, tmp_path / "work", "archive", fake.prefix, tmp_path / "kept")

    return make


def test_every_call_of_the_process(made, fake):
    observation = made()
    observation.process()
    folder = observation.workdir
    events = folder / "primary" / "acisf08007N002_evt2.fits.gz"
    filtered = folder / "primary" / "acisf08007N002_evt2_filtered.fits.gz"
    image, source = folder / "images" / "8007", folder / "sources" / "8007"
    assert fake.calls == [
        ["dmkeypar", f"{events}", "RA_PNT"],
        ["pget", "dmkeypar", "value"],
        ["dmkeypar", f"{events}", "DEC_PNT"],
        ["pget", "dmkeypar", "value"],
        ["dmcoords", f"{events}", "op=cel", "celfmt=deg", "ra=150.5", "dec=150.5"],
        ["pget", "dmcoords", "x"],
        ["pget", "dmcoords", "y"],
        ["dmcopy", f"{events}[(x,y)=circle(4096.5,4097,360.0)]", f"{filtered}"],
        ["dmlist", f"{filtered}[2]", "count"],
        [
            *("fluximage", f"infile={filtered}", f"outroot={image}", "bands=broad", "binsize=1"),
            *("psfecf=0.9", "background=none"),
        ],
        [
            *("pileup_map", f"infile={image}_broad_thresh.img", f"outfile={image}_pileup.img"),
            "clobber=yes",
        ],
        [
            *("dmimgfilt", f"infile={image}_pileup.img", f"outfile={image}_pileup_max.img"),
            *("fun=max", "mask=circle(0,0,3)", "clobber=yes"),
        ],
        [
            *("acis_streak_map", f"infile={events}"),
            f"fovfile={folder / 'primary' / 'acisf08007_000N002_fov1.fits.gz'}",
            *(f"bkgroot={image}_acis_streaks_bkg.fits", f"regfile={image}_acis_streaks.txt"),
            *("msigma=4", "clobber=yes"),
        ],
        [
            *("wavdetect", f"infile={image}_broad_thresh.img"),
            *(f"expfile={image}_broad_thresh.expmap", f"psffile={image}_broad_thresh.psfmap"),
            *(f"outfile={source}_baseline.src", f"scellfile={source}_baseline.cell"),
            *(f"imagefile={source}_baseline.img", f"defnbkgfile={source}_baseline.nbkg"),
            *("scales=1.4 2 4 8 16 32", "clobber=yes"),
        ],
        [
            *("celldetect", f"{image}_broad_thresh.img", f"{source}_celldetect.src"),
            *(f"psffile={image}_broad_thresh.psfmap", "thresh=3", "maxlogicalwindow=2048"),
            "clobber=yes",
        ],
    ]
    fake.forget()
    observation.process()
    assert [call[0] for call in fake.calls] == ["celldetect"]


def test_calls_of_the_other_steps(made, fake):
    observation = made()
    observation.process()
    fake.forget()
    source = observation.workdir / "sources" / "8007"
    centres = observation.calculate_centroids()
    assert centres.dtype.names == ("x", "y")
    assert centres.tolist() == [(4100.25, 4111.5)] * 2
    assert observation.filter_sources(90, 1.5) == f"{source}_filtered.src"
    observation.repro()
    image = observation.workdir / "images" / "8007_broad_flux.img"
    events = observation.workdir / "primary" / "acisf08007N002_evt2.fits.gz"
    assert fake.calls == [
        ["dmstat", f"{image}[sky=circle(4100.0,4110.0,3.0)]", "centroid=yes"],
        ["pget", "dmstat", "out_cntrd_phys"],
        ["dmstat", f"{image}[sky=circle(4000.0,4096.0,4.0)]", "centroid=yes"],
        ["pget", "dmstat", "out_cntrd_phys"],
        ["dmkeypar", f"{events}", "RA_PNT"],
        ["pget", "dmkeypar", "value"],
        ["dmkeypar", f"{events}", "DEC_PNT"],
        ["pget", "dmkeypar", "value"],
        ["dmcoords", f"{events}", "op=cel", "celfmt=deg", "ra=150.5", "dec=150.5"],
        ["pget", "dmcoords", "x"],
        ["pget", "dmcoords", "y"],
        [
            "dmcopy",
            f"{source}_baseline.src[psfratio=:1.5,(x,y)=circle(4096.5,4097,180.0)]",
            f"{source}_filtered.src",
        ],
    ]


def test_coordinates_along_the_aspect_solution(made, fake):
    observation = made()
    events = observation.workdir / "primary" / "acisf08007N002_evt2.fits.gz"
    aspect = observation.workdir / "secondary" / "pcadf08007_000N001_asol1.fits.gz"
    aspect.touch()
    assert observation.dmcoords("x", op="cel", ra=150.0, dec=2) == 4096.5
    assert fake.calls == [
        ["punlearn", "dmcoords"],
        ["dmcoords", f"{events}", f"asolfile={aspect}", "op=cel", "ra=150.0", "dec=2"],
        ["pget", "dmcoords", "x"],
    ]
    fake.make("pget", "print('INDEF')")
    with pytest.raises(CiaoError, match="dmcoords of CIAO gave 'INDEF' as x"):
        observation.dmcoords("x")


def test_reprocessing_is_called_before_there_are_images(made, fake):
    observation = made()
    observation.repro()
    assert fake.calls == [["chandra_repro", f"{observation.workdir}", "cleanup=yes", "clobber=yes"]]


def test_the_circle_of_hrc_is_as_large_as_it_says(made, fake):
    observation = made(instrume="HRC", detnam="HRC-I", sim_z=126.98)
    observation.process()
    circle = fake.calls[7][1].rpartition("circle(")[2]
    assert float(circle.split(",")[2].rstrip(")]")) * 0.13175 == pytest.approx(180.0)
    assert "bands=wide" in fake.calls[9]
    assert not any(call[0] == "pileup_map" for call in fake.calls)


@pytest.mark.parametrize("program", ["dmcopy", "fluximage", "dmimgfilt", "celldetect"])
def test_a_program_that_fails_leaves_nothing_half_written(made, fake, program):
    body = (fake.prefix / "bin" / program).read_text()
    observation = made()
    fake.make(program, body.partition("\n")[2] + "\nprint('ERROR: no luck'); sys.exit(2)")
    with pytest.raises(CiaoError, match=rf"^OBSID=8007 {program} of CIAO failed .*no luck"):
        observation.process()
    left = {p.name for p in observation.workdir.rglob("*") if p.is_file()}
    made_by = {
        "dmcopy": "acisf08007N002_evt2_filtered.fits.gz",
        "fluximage": "8007_broad_thresh.img",
        "dmimgfilt": "8007_pileup.img",
        "celldetect": "8007_celldetect.src",
    }[program]
    assert made_by not in left
    assert not [name for name in left if name.endswith(".begun")]
    (fake.prefix / "bin" / program).write_text(body)
    observation.process()
    assert len(observation.get_sources()) == 2


def test_what_a_killed_process_left_is_made_again(made, fake):
    observation = made()
    folder = observation.workdir
    (folder / "primary" / "acisf08007N002_evt2_filtered.fits.gz").write_bytes(b"half")
    (folder / ".filter_events.begun").touch()
    observation.filter_events()
    whole = (folder / "primary" / "acisf08007N002_evt2.fits.gz").read_bytes()
    assert (folder / "primary" / "acisf08007N002_evt2_filtered.fits.gz").read_bytes() == whole


def test_streaks_may_fail(made, fake, caplog):
    observation = made()
    fake.make("acis_streak_map", "sys.exit(1)")
    observation.process()
    assert "acis_streak_map of CIAO failed" in caplog.text
    assert not observation.get_sources()["acis_streak"].any()


def test_wavelets_are_tried_with_a_scale_fewer_and_once_only(made, fake):
    observation = made()
    observation.filter_events()
    observation.make_images()
    fake.forget()
    good = (fake.prefix / "bin" / "wavdetect").read_text().rstrip().rpartition("\n")[2]
    fake.make("wavdetect", "if '32' in values['scales']: sys.exit(1)\n" + good)
    observation.run_wavdetect("baseline")
    scales = [arg for call in fake.calls for arg in call if arg.startswith("scales=")]
    assert scales == ["scales=1.4 2 4 8 16 32", "scales=1.4 2 4 8 16"]
    fake.forget()
    observation.run_wavdetect("baseline", skip_exist=True)
    assert fake.calls == []
    fake.make("wavdetect", "sys.exit(1)")
    with pytest.raises(CiaoError, match="wavdetect of CIAO failed"):
        observation.run_wavdetect("other", scales="1 2 4")
    assert len(fake.calls) == 1


def test_no_events(made, fake):
    fake.make("dmlist", "print(0)")
    observation = made()
    with pytest.raises(SkippedWithWarning, match="no events"):
        observation.process()
    fake.make("dmlist", "print('what')")
    with pytest.raises(CiaoError, match="no number of events"):
        observation.process()


def test_sources_with_pile_up_streaks_and_neighbours(made):
    observation = made()
    observation.process()
    images = observation.workdir / "images"
    projection = WCS(naxis=2)
    projection.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    projection.wcs.crval, projection.wcs.crpix = [150.0, 2.0], [100.0, 100.0]
    projection.wcs.cdelt = [-0.492 / 3600, 0.492 / 3600]
    column, row = projection.wcs_world2pix(150.001, 2.001, 0)
    image = np.zeros((200, 200))
    image[round(float(row)), round(float(column))] = 0.25
    fits.PrimaryHDU(image, projection.to_header()).writeto(images / "8007_pileup_max.img")
    (images / "8007_acis_streaks.txt").write_text(
        "# Region file format: CIAO version 1.0\npolygon(3990,4000,4010,4000,4010,4200,3990,4200)\n"
    )
    alignments = {name: [[1.0]] for name in ("aca_align", "aca_misalign", "fts_misalign")}
    columns = [fits.Column(name, "1D", array=value) for name, value in alignments.items()]
    table = fits.BinTableHDU.from_columns(columns)
    table.header["CALDBVER"] = "4.10.0"
    acal = observation.workdir / "secondary" / "pcadf08007_000N002_acal1.fits.gz"
    acal.write_bytes(packed(fits.HDUList([fits.PrimaryHDU(), table])))
    sources = observation.get_sources()
    assert sources.colnames == [
        *("obsid", "id", "ra", "dec", "net_counts", "y_angle", "z_angle", "r_angle", "snr"),
        *("near_neighbor_dist", "psfratio", "pileup", "acis_streak", "caldb_version"),
    ]
    assert sources["pileup"].tolist() == [0.25, 0.0]
    assert sources["acis_streak"].tolist() == [False, True]
    assert set(sources["caldb_version"]) == {"4.10.0"}
    assert sources["obsid"].tolist() == [8007, 8007]
    np.testing.assert_allclose(sources["r_angle"], np.hypot(sources["y_angle"], sources["z_angle"]))
    separation = np.hypot(np.diff(sources["y_angle"]), np.diff(sources["z_angle"]))[0]
    np.testing.assert_allclose(sources["near_neighbor_dist"], separation)
    calalign = json.loads((observation.workdir / "calalign.json").read_text())
    assert calalign["caldb_version"] == "4.10.0"
    assert calalign["obsid"] == 8007


def test_a_detector_without_signal_to_noise(made):
    observation = made()
    observation.process()
    source_list(observation.workdir / "sources" / "8007_gauss.src", SNR=None)
    assert observation.get_sources("gauss")["snr"].mask.all()
    source_list(observation.workdir / "sources" / "8007_bad.src", COMPONENT=None)
    with pytest.raises(InputError, match="no column COMPONENT"):
        observation.get_sources("bad")
    (observation.workdir / "sources" / "8007_bad.src").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="cannot be read as a list of sources"):
        observation.get_sources("bad")
    with pytest.raises(InputError, match="There is no list of sources"):
        observation.get_sources("none")


@pytest.mark.parametrize(
    "header", [{"obs_mode": "SECONDARY"}, {"readmode": "CONTINUOUS"}, {"dtycycle": 1}]
)
def test_what_is_not_processed(made, fake, header):
    with pytest.raises(Skipped, match="does not fulfill observation requirements"):
        made(**header).process()
    assert fake.calls == []


def test_parameters_of_the_parameter_file(made):
    observation = made()
    (observation.workdir / "axaff08007N002_obs0a.par").write_text(PARAMETERS)
    parameters = observation.get_obspar()
    assert parameters["target"] == "NGC 1, the first"
    assert parameters["instrument"] == "acis"
    assert (parameters["ra"], parameters["dec"], parameters["roll"]) == (150.0, 2.0, 40.0)
    assert parameters["version"] == pytest.approx(10.0902)
    assert parameters["dtycycle"] == 0
    assert observation.get_info()["category_id"] == 50
    (observation.workdir / "axaff08007N002_obs0a.par").write_text("one\n")
    with pytest.raises(InputError, match="cannot be read as a parameter file"):
        observation.get_obspar()
    other = PARAMETERS.replace("8007", "8008")
    (observation.workdir / "axaff08007N002_obs0a.par").write_text(other)
    with pytest.raises(InputError, match="is of obsid 8008, not of 8007"):
        observation.get_obspar()


def test_archiving_by_pattern(made, tmp_path):
    observation = made()
    observation.process()
    (observation.workdir / "cache").mkdir()
    (observation.workdir / "cache" / "a.json").write_text("{}")
    observation.archive()
    kept = tmp_path / "kept" / "obs08" / "8007"
    assert {str(p.relative_to(kept)) for p in kept.rglob("*") if p.is_file()} == {
        *("sources/8007_baseline.src", "sources/8007_celldetect.src", "seq_summary.json"),
        *("images/8007_broad_flux.img", "cache/a.json"),
    }
    observation.archive("*.src", destination=tmp_path / "other")
    assert len(list((tmp_path / "other" / "8007" / "sources").iterdir())) == 2
    observation.archive_dir = None
    with pytest.raises(InputError, match="has no archive"):
        observation.archive()


def test_download_by_the_program_of_ciao(tmp_path, fake):
    observation = Observation(8007, tmp_path / "work", "archive", fake.prefix)
    fake.make(
        "download_chandra_obsid",
        "if '-t' in args: print('Types are: evt1 evt2 asol vv')\n"
        "else:\n"
        "    folder = Path(args[0], 'primary'); folder.mkdir(parents=True)\n"
        "    Path(args[0], 'secondary').mkdir()\n"
        "    (folder / 'acisf08007N002_evt2.fits.gz').touch()",
    )
    observation.download()
    assert fake.calls == [
        ["download_chandra_obsid", "-t", "-q"],
        ["download_chandra_obsid", "8007", "--exclude", "evt1,vv"],
    ]
    assert (observation.workdir / "primary" / "acisf08007N002_evt2.fits.gz").exists()
    fake.forget()
    observation.download()
    assert fake.calls == []
    other = Observation(8008, tmp_path / "work", "archive", fake.prefix)
    fake.make("download_chandra_obsid", "print('a: evt2' if '-t' in args else '')")
    with pytest.raises(DownloadError, match="gave no events of obsid 8008"):
        other.download()


def test_download_by_arc5gl(made, monkeypatch):
    asked: list[tuple[str, str]] = []

    class Arc5gl:
        def sendline(self, line: str) -> None:
            asked.append((Path.cwd().name, line))

    package, arc5gl = ModuleType("Ska"), ModuleType("Ska.arc5gl")
    arc5gl.Arc5gl = Arc5gl  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "Ska", package)
    monkeypatch.setitem(sys.modules, "Ska.arc5gl", arc5gl)
    observation = made()
    (observation.workdir / "axaff08007N002_obs0a.par").write_text(PARAMETERS)
    observation._source = "arc5gl"
    observation.download()
    assert asked == [
        ("secondary", "obsid=8007"),
        ("secondary", "get asp1[*asol*]"),
        ("secondary", "obsid=8007"),
        ("secondary", "get acis1{msk}"),
        ("primary", "obsid=8007"),
        ("primary", "get acis1[*bpix*]"),
        ("primary", "obsid=8007"),
        ("primary", "get acis1[*dtf1*]"),
    ]
    assert observation.archive_file_locations["evt2"] == ("acis2{evt2}", "primary")


def test_sources_of_data_that_are_not_known(tmp_path):
    with pytest.raises(ConfigError, match="unknown source 'tape'"):
        Observation(8007, tmp_path, "tape", use_ciao=False).download()
    with pytest.raises(ConfigError, match="has no source of data"):
        Observation(8007, tmp_path, None, use_ciao=False).download()
    with pytest.raises(CiaoError, match="does not exist"):
        assert Observation(8007, tmp_path, "archive", tmp_path / "nowhere").ciao
    for wrong in ("one", -3, 0, "123456", "8007.5"):
        with pytest.raises(InputError, match="is no obsid of Chandra"):
            Observation(wrong, tmp_path)


def test_the_temporary_folder_goes_with_the_observation(fake):
    observation = Observation("08007", use_ciao=False)
    folder = observation.workdir
    assert folder.parts[-2:] == ("obs08", "8007")
    assert folder.exists()
    assert observation.ciao is None
    del observation
    assert not folder.exists()


def test_multi_obi_observations_are_known():
    assert len(module.MULTI_OBI_OBSIDS) == 30
    assert Observation(82, use_ciao=False).is_multi_obi
