"""Recovery of regions by other runs: equal to plain loops, also at the poles."""

import numpy as np
import pandas as pd
import pytest
from astropy.coordinates import angular_separation
from helpers.flag_archives import add_features
from helpers.survey_archives import make_survey
from hypothesis import given
from hypothesis import strategies as st

from exod.archive import Archive
from exod.config import Config
from exod.errors import InputError
from exod.plots.efficiency.recovery import recovery_figure
from exod.sources.recovery import RUN, Recovery, histograms, kinds_of_runs, recovery
from exod.stages.query.recovered import recovery_of_archive

RUNS = [(5.0, 0.2, 2.0), (50.0, 0.2, 2.0), (50.0, 2.0, 12.0)]
COLUMNS = ["obsid", *RUN, "ra_deg", "dec_deg"]

offsets = st.integers(-3, 3).map(lambda step: step * 4.0 / 3600)
places = st.sampled_from([(0.0, 0.0), (0.0, 90.0), (123.0, -90.0), (359.9999, 45.0)])
rows = st.lists(
    st.tuples(st.sampled_from(["1", "2"]), st.sampled_from(RUNS), places, offsets, offsets),
    max_size=25,
)


def frame(items) -> pd.DataFrame:
    table = []
    for obsid, run, (ra, dec), step_ra, step_dec in items:
        lat = min(max(dec + step_dec, -90.0), 90.0)
        table.append((obsid, *run, (ra + step_ra * 7) % 360, lat))
    types = dict.fromkeys(COLUMNS[1:], float) | {"obsid": str}
    return pd.DataFrame(table, columns=COLUMNS).astype(types)


def brute_force(regions, runs, radius):
    """Region by region, with the separations of astropy."""
    n = len(runs)
    counts, recovered = np.zeros(n, int), np.zeros((n, n), int)
    number = {tuple(run): i for i, run in enumerate(runs[list(RUN)].to_numpy())}
    table = [(r.obsid, number[r.t_bin, r.e_lo, r.e_hi]) for r in regions.itertuples()]
    ra, dec = np.deg2rad(regions[["ra_deg", "dec_deg"]].to_numpy(float).reshape(-1, 2).T)
    apart = angular_separation(ra[:, None], dec[:, None], ra, dec)
    near = np.rad2deg(apart) * 3600 <= radius
    for (obsid, of), close in zip(table, near, strict=True):
        counts[of] += 1
        found = {
            by
            for (other, by), is_near in zip(table, close, strict=True)
            if other == obsid and is_near
        }
        recovered[of, list(found)] += 1
    return counts, recovered


@given(rows, st.sampled_from([1.9, 7.0, 15.0]))
def test_recovery_is_that_of_plain_loops(items, radius):
    regions = frame(items)
    runs = kinds_of_runs(regions)
    found = recovery(regions, runs, radius)
    counts, recovered = brute_force(regions, runs, radius)
    assert found.n_regions.tolist() == counts.tolist()
    assert found.recovered.tolist() == recovered.tolist()
    apart = [recovery(regions[regions["obsid"] == o], runs, radius) for o in ("1", "2")]
    assert (apart[0] + apart[1]).recovered.tolist() == recovered.tolist()


def test_fractions_are_of_the_run_in_the_row():
    regions = frame([("1", RUNS[0], (10.0, 0.0), 0, 0)] + [("1", RUNS[1], (10.0, 0.0), 0, 0)] * 1)
    regions = pd.concat([regions, regions.iloc[1:].assign(dec_deg=1.0)])
    runs = kinds_of_runs(pd.DataFrame(RUNS, columns=RUN))
    found = recovery(regions, runs)
    table = found.table().set_index(["t_bin_of", "e_lo_of", "t_bin_by", "e_lo_by"])["fraction"]
    assert table[5.0, 0.2, 50.0, 0.2] == 1.0
    assert table[50.0, 0.2, 5.0, 0.2] == 0.5
    assert np.isnan(table[50.0, 2.0, 5.0, 0.2])


def test_regions_without_position_are_not_recovered():
    regions = frame([("1", RUNS[0], (10.0, 0.0), 0, 0)] * 2)
    regions.loc[0, "ra_deg"] = np.nan
    found = recovery(regions, kinds_of_runs(regions))
    assert (found.n_regions.tolist(), found.recovered.tolist()) == ([2], [[1]])


def test_bad_input_is_refused():
    regions = frame([("1", RUNS[0], (10.0, 0.0), 0, 0)])
    runs = kinds_of_runs(regions)
    for radius in (0.0, -1.0, np.nan):
        with pytest.raises(InputError, match="must be positive"):
            recovery(regions, runs, radius)
    other = Recovery(runs.assign(t_bin=7.0), np.zeros(1, int), np.zeros((1, 1), int))
    with pytest.raises(InputError, match="cannot be added"):
        recovery(regions, runs) + other


@given(st.lists(st.tuples(st.sampled_from(RUNS), st.one_of(st.none(), st.floats(0, 9)))))
def test_histograms_count_every_value_inside_once(items):
    regions = pd.DataFrame(
        [(*run, np.nan if value is None else value) for run, value in items],
        columns=[*RUN, "n_mean"],
        dtype=float,
    )
    runs = pd.DataFrame(RUNS, columns=RUN)
    found = histograms(regions, runs, "n_mean", [0, 1, 2.5, 8])
    for i, run in enumerate(RUNS):
        values = [v for r, v in items if r == run and v is not None]
        expected = [
            sum(low <= v < high or (v == high == 8) for v in values)
            for low, high in ((0, 1), (1, 2.5), (2.5, 8))
        ]
        assert found[i].tolist() == expected


# -------------------------------------------------------------------- archives


def test_runs_of_an_archive(tmp_path, command):
    archive = make_survey(tmp_path / "archive", 3, 4)
    found = recovery_of_archive(archive.root)
    regions = archive.regions.compute()
    counts, recovered = brute_force(regions, found.recovery.runs, 15.0)
    assert found.recovery.n_regions.tolist() == counts.tolist() == [12, 12, 12]
    assert found.recovery.recovered.tolist() == recovered.tolist()
    assert found.column == "intensity_mean"
    assert found.histograms.sum() == 36
    add_features(archive)
    assert recovery_of_archive(archive.root).column == "n_mean"
    code, said, _ = command("recovery", archive.root, "--to", tmp_path / "out", "--radius", 10)
    assert code == 0
    assert "recovery.png" in said
    table = pd.read_csv(tmp_path / "out" / "recovery.csv")
    assert table["n_regions"].tolist() == [12] * 9
    assert (tmp_path / "out" / "recovery.png").stat().st_size > 10_000


@pytest.mark.parametrize("n_observations", [0, 1])
def test_archives_with_nothing_found(tmp_path, command, n_observations):
    archive = make_survey(tmp_path / "archive", n_observations, 0)
    code, _, wrong = command("recovery", archive.root, "--to", tmp_path / "out")
    assert (code, wrong) == (0, "")
    assert len(pd.read_csv(tmp_path / "out" / "recovery.csv")) == (9 if n_observations else 0)


def test_the_command_refuses_an_impossible_radius(tmp_path, command):
    archive = Archive.create(tmp_path / "archive", Config())
    code, _, wrong = command("recovery", archive.root, "--to", tmp_path, "--radius", -1)
    assert code == 1
    assert "must be positive" in wrong


def test_the_picture_shows_every_number():
    regions = frame([("1", run, (10.0, 0.0), 0, 0) for run in RUNS[:2]]).assign(n_mean=1.0)
    runs = pd.DataFrame(RUNS, columns=RUN)
    edges = np.geomspace(0.1, 10, 5)
    counts = histograms(regions, runs, "n_mean", edges)
    figure = recovery_figure(recovery(regions, runs), counts, edges, "Mean counts", 15.0)
    matrix = figure.axes[0]
    texts = [text.get_text() for text in matrix.texts]
    assert texts == ["1.00\n1", "1.00\n1", "0.00\n0"] * 2 + ["–"] * 3
    assert matrix.get_yticklabels()[0].get_text() == "5 s, 0.2–2  (1)"
    titles = [axes.get_title() for axes in figure.axes]
    assert "0.2–2 keV" in titles
    assert "2–12 keV" in titles
