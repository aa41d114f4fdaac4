"""The monitor end to end: tables of Chandra, offsets of XMM-Newton, alert files, damage."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pytest
from astropy.table import Table
from helpers.offsets import offsets
from typer.testing import CliRunner

from exod.astromon import db
from exod.astromon.tables import DTYPES
from exod.catalogue.report.offsets.offsetnumbers import AXES
from exod.cli import app
from exod.errors import InputError
from exod.stages.report import monitor as stage
from exod.stages.report.monitor import monitor, read_alerts, write_pages
from exod.stages.report.offsetsources import chandra_offsets, is_chandra, xmm_offsets


@pytest.fixture(autouse=True)
def plain(monkeypatch):
    """Pictures are looked at elsewhere; a page without them is quick."""
    monkeypatch.setattr(stage, "offset_pictures", lambda numbers: {})


def save_tables(path, n=400, seed=0, step=0.5, **columns):
    """Tables with a star at the place of a source of each observation, and a step of dy."""
    random = np.random.default_rng(seed)
    days = np.sort(random.uniform(0, 3650, n))
    obs, sources, stars, pairs = (
        np.zeros(n, DTYPES[f"astromon_{name}"]) for name in ("obs", "xray_src", "cat_src", "xcorr")
    )
    begin = datetime(2003, 1, 1, tzinfo=UTC)
    for table in (obs, sources, stars, pairs):
        table["obsid"] = np.arange(1, n + 1)
    obs["date_obs"] = [(begin + timedelta(day)).strftime("%Y-%m-%dT%H:%M:%S") for day in days]
    obs["detector"], obs["sim_z"], obs["grating"] = "ACIS-S", -190.143, "NONE"
    obs["target"], obs["category_id"], obs["roll"] = "HD 1", 10, random.uniform(0, 360, n)
    sources["id"], sources["snr"], sources["near_neighbor_dist"] = 1, 10, 100
    sources["caldb_version"], sources["r_angle"] = "4.4.4", random.uniform(1, 100, n)
    stars["catalog"], stars["x_id"], stars["name"] = "Tycho2", 1, "1-2-3"
    dy = random.normal(0, 0.25, n) + step * (days > 2000)
    sources["y_angle"], sources["z_angle"] = dy, random.normal(0, 0.25, n)
    pairs["select_name"], pairs["x_id"], pairs["dy"] = "astromon_21", 1, dy
    pairs["dz"] = sources["z_angle"]
    pairs["dr"] = np.hypot(pairs["dy"], pairs["dz"])
    tables = {"obs": obs, "xray_src": sources, "cat_src": stars, "xcorr": pairs}
    for name, (table, row, value) in columns.items():
        tables[table][name][row] = value
    for name, rows in tables.items():
        db.save(f"astromon_{name}", Table(rows), path)
    return dy, tables


def test_matches_are_selected_as_on_the_pages(tmp_path):
    path = tmp_path / "astromon.db3"
    dy, tables = save_tables(
        path,
        20,
        target=("obs", 0, "M87 jet"),
        category_id=("obs", 1, 120),
        sim_z=("obs", 2, -180.0),
        caldb_version=("xray_src", 3, "0.0"),
        snr=("xray_src", 4, 4.0),
    )
    frame, words = chandra_offsets(path, snr=5.0)
    assert frame["obsid"].tolist() == [str(number) for number in range(6, 21)]
    assert frame["dy"].to_numpy() == pytest.approx(dy[5:], abs=1e-6)
    assert frame["off_axis_arcmin"].to_numpy() == pytest.approx(
        tables["xray_src"]["r_angle"][5:] / 60
    )
    assert "5 matches" in words.selection
    assert len(chandra_offsets(path, snr=3.0)[0]) == 16
    assert frame["year"].between(2003, 2013.1).all()


def test_matches_are_computed_if_none_is_stored(tmp_path):
    path = tmp_path / "astromon.db3"
    save_tables(path, 30)
    stored, _ = chandra_offsets(path)
    rows = db.get_table("astromon_xcorr", path)
    rows["select_name"] = "other"
    db.save("astromon_xcorr", rows, path, ignore_obsid=True)
    computed, _ = chandra_offsets(path)
    for axis in AXES:
        assert computed[axis].to_numpy() == pytest.approx(stored[axis].to_numpy(), abs=1e-6)


def test_offsets_as_if_reprocessed(tmp_path, monkeypatch):
    """dy -= calalign_dy - ref_calalign_dy, and a step that the old alignment made is gone."""
    path = tmp_path / "astromon.db3"
    save_tables(path)

    def alignments(matches, calalign_dir):
        late = np.asarray(matches["time"].decimalyear) > 2003 + 2000 / 365.25
        found = Table({"calalign_dy": 0.5 * late, "calalign_dz": np.zeros(len(matches))})
        found["ref_calalign_dy"] = np.zeros(len(matches))
        found["ref_calalign_dz"] = np.full(len(matches), 0.1)
        return found

    monkeypatch.setattr("exod.astromon.utils.get_calalign_offsets", alignments)
    frame, _ = chandra_offsets(path, calalign=tmp_path)
    assert frame["dz_new"].to_numpy() == pytest.approx(frame["dz"].to_numpy() + 0.1)
    found = monitor(str(path), tmp_path / "out", calalign=tmp_path).numbers
    assert len(found.alerts) == 1
    radii = [one.radial["all"].quantiles["radius"][90.0] for one in (found.after, found.before)]
    assert radii[0] < radii[1]
    assert "No alignment files" not in (tmp_path / "out" / "index.html").read_text()


def test_alerts_are_told_once(tmp_path):
    path, alerts = tmp_path / "astromon.db3", tmp_path / "alerts.json"
    save_tables(path)
    run = CliRunner().invoke
    arguments = ["monitor", str(path), "--to", str(tmp_path / "out"), "--alert-file", str(alerts)]
    first = run(app, arguments)
    assert first.exit_code == 0, first.output
    assert "New alert: dy of all detectors changed by +0.5" in first.output
    (known,) = json.loads(alerts.read_text())["alerts"]
    assert known["year"] == pytest.approx(2003 + 2000 / 365.25, abs=0.3)
    second = run(app, arguments)
    assert "New alert" not in second.output
    assert "1 alert" in second.output
    assert json.loads(alerts.read_text())["alerts"] == [known]
    names = sorted(item.name for item in (tmp_path / "out").iterdir())
    assert names == ["alerts.csv", "half_years.csv", "index.html", "radii.csv", "statistics.csv"]
    assert "No alignment files were given" in (tmp_path / "out" / "index.html").read_text()


def test_an_alert_that_later_offsets_do_not_show_is_withdrawn(tmp_path):
    """It is told once, stays in the file and on the page, and may be an alert again."""
    path, alerts, out = (tmp_path / name for name in ("astromon.db3", "alerts.json", "out"))
    arguments = ["monitor", str(path), "--to", str(out), "--alert-file", str(alerts)]

    def run(step):
        save_tables(path, step=step)
        result = CliRunner().invoke(app, arguments)
        assert result.exit_code == 0, result.output
        return " ".join(result.output.split()), json.loads(alerts.read_text())["alerts"]

    _, (first,) = run(0.5)
    output, (gone,) = run(0.0)
    assert "Alert withdrawn: the offsets known now show no step of dy of all detectors" in output
    assert {**first, "withdrawn": gone["withdrawn"]} == gone
    page = (out / "index.html").read_text()
    assert "There is no alert." in page
    assert "Alerts that were told" in page
    output, again = run(0.0)
    assert "withdrawn" not in output
    assert again == [gone]
    output, (old, new) = run(0.5)
    assert "New alert" in output
    assert old == gone
    assert "withdrawn" not in new
    # Nothing is said against it by a selection without any offset.
    monitor(str(path), out, alert_file=alerts, snr=100.0)
    assert json.loads(alerts.read_text())["alerts"] == [old, new]


@pytest.mark.parametrize(
    "content",
    [
        *(
            "{",
            "[]",
            '{"alerts": 1}',
            '{"alerts": [{"year": "x"}]}',
            '{"alerts": [{"year": 2010}]}',
        ),
        '{"alerts": [{"year": NaN, "detector": "all", "axis": "dy"}]}',
        '{"alerts": [{"year": 2010, "detector": [1], "axis": "dy"}]}',
    ],
)
def test_a_damaged_alert_file_is_told_and_stays(tmp_path, content):
    path, alerts = tmp_path / "astromon.db3", tmp_path / "alerts.json"
    save_tables(path, 5)
    alerts.write_text(content)
    with pytest.raises(InputError, match="no alert file"):
        monitor(str(path), tmp_path / "out", alert_file=alerts)
    assert alerts.read_text() == content
    assert not (tmp_path / "out").exists()


def test_pages_of_calibration_and_of_trends(tmp_path):
    path = tmp_path / "tables"
    save_tables(path, 200, snr=("xray_src", slice(0, 200, 2), 4.0))
    found = write_pages(path, tmp_path / "out")
    assert sorted(item.name for item in (tmp_path / "out").iterdir()) == ["cal.html", "mta.html"]
    cal, mta = found["cal"].before.offsets, found["mta"].before.offsets
    assert len(mta) == 200
    assert 0 < len(cal) < 100
    assert cal["year"].min() >= mta["year"].max() - 5
    assert "5 years before the last offset" in (tmp_path / "out" / "cal.html").read_text()


def test_rms_is_printed(tmp_path):
    path = tmp_path / "astromon.db3"
    _, tables = save_tables(path, 50)
    result = CliRunner().invoke(app, ["astromon", "rms", str(path)])
    assert result.exit_code == 0, result.output
    expected = np.sqrt(np.square(tables["xcorr"]["dr"].astype(float)).mean())
    assert f"{expected:.3f}" in result.output


def test_no_offsets_are_a_page(tmp_path):
    path = tmp_path / "astromon.db3"
    save_tables(path, 3)
    found = monitor(str(path), tmp_path / "out", snr=100.0)
    assert found.numbers.before.offsets.empty
    assert "There are no such offsets." in (tmp_path / "out" / "index.html").read_text()
    assert CliRunner().invoke(app, ["astromon", "rms", str(path), "--snr", "99"]).exit_code == 0


def test_temperatures(tmp_path):
    path, table = tmp_path / "astromon.db3", tmp_path / "cold.csv"
    save_tables(path, 5)
    table.write_text("obsid,temperature_c\n1,-119.7\n3,-110\n3,-100\n99,0\n")
    found = monitor(str(path), tmp_path / "out", temperatures=table)
    known = found.numbers.before.offsets.set_index("obsid")["temperature_c"]
    assert known[["1", "3"]].tolist() == [-119.7, -110.0]
    assert known.notna().sum() == 2
    table.write_text("obsid,temperature_c\n1,hot\n")
    with pytest.raises(InputError, match="'hot' in temperature_c"):
        monitor(str(path), tmp_path / "none", temperatures=table)
    assert not (tmp_path / "none").exists()
    table.write_text("obsid,cold\n1,-119.7\n")
    with pytest.raises(InputError, match="temperature_c"):
        monitor(str(path), tmp_path / "out", temperatures=table)


@pytest.mark.parametrize("name", ["nothing", "nothing.db3"])
def test_a_source_that_is_not_there_is_one_sentence(tmp_path, name):
    result = CliRunner().invoke(app, ["monitor", str(tmp_path / name), "--to", str(tmp_path / "o")])
    assert result.exit_code == 1
    assert name in result.output.replace("\n", "")
    assert not (tmp_path / "o").exists()


def test_a_file_that_lacks_tables_is_one_sentence(tmp_path):
    path = tmp_path / "astromon.db3"
    db.save("astromon_xcorr", db.create_table("astromon_xcorr"), path)
    result = CliRunner().invoke(app, ["monitor", str(path), "--to", str(tmp_path / "o")])
    assert result.exit_code == 1
    assert "astromon_obs" in result.output


@pytest.mark.parametrize("name", ["astromon.h5", "astromon.db3", "folder"])
def test_tables_of_chandra_are_known_by_what_they_are(tmp_path, name):
    save_tables(tmp_path / name, 2)
    assert is_chandra(str(tmp_path / name))
    assert not is_chandra(str(tmp_path))


class Rectified:
    """An archive that has offsets."""

    root = "results"

    def __init__(self, frame):
        self.frame = frame

    def derived_table(self, product, name, columns):
        assert (product, name) == ("frames", "offsets")
        return _Computed(self.frame[columns])

    def table(self, name, columns):
        return _Computed(pd.DataFrame({"obsid": ["0000000001"], "pa_pnt": [77.0]})[columns])


class _Computed:
    def __init__(self, frame):
        self.frame = frame

    def compute(self):
        return self.frame


def test_offsets_of_an_archive():
    frame = offsets(4).rename(columns={"dy": "dy_arcsec", "dz": "dz_arcsec"})
    frame = frame.rename(columns={"dy_new": "dy_corr_arcsec", "dz_new": "dz_corr_arcsec"})
    frame = frame.assign(
        obsid="0000000001",
        instrument="EPIC",
        mjd=[51544.5, 51544.5 + 366, np.nan, 51544.5],
        p_match=[0.9, np.nan, 0.7, 0.1],
    )
    found, words = xmm_offsets(Rectified(frame))
    assert found["dy"].tolist() == frame["dy_arcsec"].tolist()[:3]
    assert found["dz_new"].tolist() == frame["dz_corr_arcsec"].tolist()[:3]
    assert found["year"].round(3).tolist()[:2] == [2000.001, 2001.001]
    assert found["roll_deg"].tolist() == [77.0] * 3
    assert "1 pair with a probability below 0.5" in words.selection


def test_what_has_no_offset_is_told(tmp_path):
    path = tmp_path / "astromon.db3"
    save_tables(path, 9, dy=("xcorr", slice(0, 3), np.nan))
    found = monitor(str(path), tmp_path / "out").numbers
    assert len(found.before.offsets) == 6
    assert "3 rows without time or offset are left out." in found.words.selection


def test_times_of_alerts_are_read_back(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"alerts": [{"year": 2010, "detector": "all", "axis": "dy"}]}')
    assert read_alerts(path) == [{"year": 2010.0, "detector": "all", "axis": "dy"}]
