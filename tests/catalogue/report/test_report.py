"""The report of an archive: its numbers, what is missing, and a page that needs nothing else."""

import re
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
from helpers.report_archives import (
    add_light_curve_products,
    add_match,
    add_matches,
    add_sources,
    make_archive,
    write,
)
from helpers.survey_archives import make_survey

from exod.archive import Archive, open_archive
from exod.catalogue.report.page import Gallery, Link, Listing, Mark, Picture, Section, Text, render
from exod.catalogue.report.sections.contents import sections
from exod.config import Config
from exod.errors import ArchiveError
from exod.schemas import MEMBERS
from exod.schemas.derived import LINEAGE, UNIQUE
from exod.stages.report.count import gather
from exod.stages.report.page import write_report

TITLES = (
    "Summary",
    "Events and rates",
    "Cameras and read-out modes",
    "Events in a frame",
    "Regions of a run, subsets of an observation",
    "Runs and significance",
    "Good and bad time",
    "Sky",
    "Bayes factors",
    "Expected false alarms",
    "Durations and excess counts",
    "Isolated flares",
    "Regions and their sources",
    "Counterparts",
    "SIMBAD types",
    "Separations by type",
    "Fluxes of 4XMM",
    "EXTraS",
    "Hertzsprung–Russell diagram",
    "Hardness ratios",
    "Flags",
    "The most significant sources",
    "Consistency",
    "Versions and settings",
)
VOID = {"meta", "img", "br", "link"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and collects what matters."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: list[dict[str, str]] = []
        self.addresses: list[str] = []
        self.anchors: set[str] = set()
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        about = dict(attrs)
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(about)
        self.anchors |= {about["id"]} if "id" in about else set()
        self.addresses += [about[name] for name in ("href", "src") if name in about]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if "style" not in self.open:
            self.text.append(data)


def page_of(path) -> Page:
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    archive = make_archive(tmp_path_factory.mktemp("full") / "archive")
    unique = add_sources(archive)
    features, flags = add_light_curve_products(archive)
    matches = add_matches(archive)
    return archive, unique, features, flags, matches


@pytest.fixture(scope="module")
def numbers(full):
    return gather(full[0], top=4, light_curves=2)


def blocks(numbers, title):
    return next(item for item in sections(numbers, {}) if item.title == title).blocks


def listing(numbers, title):
    return next(block for block in blocks(numbers, title) if isinstance(block, Listing))


# ---------------------------------------------------------------- the page


def test_a_full_page_needs_nothing_else(full, tmp_path, command):
    path = tmp_path / "folder" / "report.html"
    code, said, _ = command("report", full[0].root, "--to", path, "--top", 4, "--light-curves", 2)
    assert code == 0
    assert "29 consistency checks, all passed" in said
    page = page_of(path)
    assert [item.name for item in path.parent.iterdir()] == ["report.html"]
    text = " ".join(page.text)
    assert all(title in text for title in TITLES)
    # Pictures are inside and have words; everything else is a link to follow or within the page.
    assert len(page.images) == 2 + 3 + 20
    assert all(image["alt"] for image in page.images)
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.images)
    links = [address for address in page.addresses if not address.startswith("data:")]
    inside = [address for address in links if address.startswith("#")]
    assert {address[1:] for address in inside} == page.anchors
    outside = set(links) - set(inside)
    assert all(
        address.startswith(("https://simbad.cds.unistra.fr/", "https://sky.esa.int/"))
        for address in outside
    )
    source = path.read_text()
    assert not re.search(r"<script|<link|@import|url\(", source)
    assert "exod cluster" not in text


@pytest.mark.parametrize("searched", [False, True])
def test_pages_of_archives_without_anything(tmp_path, searched):
    root = tmp_path / "archive"
    archive = make_survey(root, 2, 0) if searched else Archive.create(root, Config())
    numbers = write_report(archive.root, tmp_path / "report.html")
    page = page_of(tmp_path / "report.html")
    text = " ".join(page.text)
    assert all(title in text for title in TITLES)
    for command in ("cluster", "features", "flags", "crossmatch"):
        assert f"exod {command} {root}" in text
    for name in ("simbad", "gaia_dr3", "4xmm_dr14"):
        assert f"--with {name}" in text
    assert numbers.status == ({"EMPTY": 2} if searched else {})
    assert numbers.searched == (2 * 30 * 50.0 if searched else 0.0)
    assert all(check.passed for check in numbers.checks)


def test_products_without_rows(tmp_path):
    archive = make_survey(tmp_path / "archive", 2, 0)
    add_sources(archive)
    add_light_curve_products(archive)
    add_matches(archive)
    numbers = write_report(archive.root, tmp_path / "report.html")
    text = " ".join(page_of(tmp_path / "report.html").text)
    # Everything was made but what compares with whole catalogues.
    for harmless in ("exod archive", "exod 0", f"exod report {archive.root} --"):
        text = text.replace(harmless, "")
    assert "exod " not in text.split("Versions")[1]
    for sentence in (
        "There are no light curves.",
        "There are no sources.",
        "no regions with flags",
    ):
        assert sentence in text
    assert numbers.sources.n == 0
    assert all(check.passed for check in numbers.checks)


def test_texts_are_escaped():
    evil = "<script>alert('x')</script> & \"quoted\""
    text = render(
        evil,
        evil,
        [
            Section(evil, (Text(f"{evil} `a < b`"), Text(evil, missing=True))),
            Section(
                "Cells",
                (
                    Listing(evil, (evil, "n"), ((evil, 1), (Mark(evil, good=True), None))),
                    Listing("links", ("l",), (((Link(evil, 'https://x/"><b>'),),),)),
                    Picture(b"\x89PNG" + bytes(20), evil, evil),
                    Gallery((Picture(b"\x89PNG" + bytes(20), evil),)),
                ),
            ),
        ],
    )
    page = Page(text)
    assert "<script" not in text
    assert "<b>" not in text
    assert "<code>a &lt; b</code>" in text
    assert "".join(page.text).count(evil) == 13
    assert 'https://x/"><b>' in page.addresses


def test_names_of_services_and_archives_cannot_break_the_page(tmp_path):
    archive = make_archive(tmp_path / "a <b> & `c`", 2, 2, t_bins=(50.0,))
    add_sources(archive)
    import pyarrow as pa

    types = np.array(["<img src=x>", "$\\frac{"] * len(archive.unique))[: len(archive.unique)]
    add_match(archive, "simbad", "simbad_", {"otype": (pa.string(), types)}, density=0.01)
    write_report(archive.root, tmp_path / "report.html")
    page = page_of(tmp_path / "report.html")
    assert "x" not in [image["src"] for image in page.images]


def test_the_page_is_replaced_when_the_new_one_is_complete(tmp_path, monkeypatch):
    archive = Archive.create(tmp_path / "archive", Config())
    path = tmp_path / "report.html"
    path.write_text("old")

    def fail(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.replace", fail)
    with pytest.raises(ArchiveError, match=r"report\.html cannot be written: No space left"):
        write_report(archive.root, path)
    assert path.read_text() == "old"
    assert {item.name for item in tmp_path.iterdir()} == {"archive", "report.html"}


def test_the_command_makes_no_page_of_nothing(tmp_path, command):
    code, _, error = command("report", tmp_path / "nowhere", "--to", tmp_path / "s.html")
    assert code == 1
    assert "nowhere" in error
    assert not (tmp_path / "s.html").exists()


# ---------------------------------------------------------------- numbers against plain pandas


def test_regions_and_runs_are_counted(full, numbers):
    regions, runs = full[0].regions.compute(), full[0].runs.compute()
    assert (numbers.n_regions, numbers.n_runs) == (len(regions), len(runs))
    found = regions[regions["sigma_eclipse"] >= 4].groupby(["t_bin", "e_lo", "e_hi"]).size()
    assert numbers.runs["eclipse_4"].loc[found.index].tolist() == found.tolist()
    assert numbers.runs["eclipse_4"].sum() == found.sum() > 0
    assert numbers.expected["false_peaks"].sum() == pytest.approx(runs["false_peaks"].sum())
    assert numbers.expected["unknown"].sum() == runs["false_peaks"].isna().sum() == 1
    for name, column in (("duration", "duration"), ("log_b_eclipse", "max_B_eclipse_log")):
        assert numbers.histograms[name].total == regions[column].notna().sum()
    rows = listing(numbers, "Runs and significance").rows
    assert rows[-1][2] == len(regions)
    # Two observations of each field, 30 frames of 200 s are the longest.
    assert numbers.searched == 4 * 6000


def test_features_and_flags_are_counted(full, numbers):
    _, _, features, flags, _ = full
    names = [name for name in flags.columns if name.startswith("filt_")]
    for name in names:
        assert numbers.flags.loc[name, name] == flags[name].sum()
    assert numbers.flags.columns.tolist() == names
    assert numbers.flags.loc["(none)", names[0]] == (~flags[names].any(axis=1)).sum()
    bins = numbers.features.bins.groupby(["sigma", "kind"]).sum()
    assert bins.loc[(5, "peak"), "bti"] == features["n_5_sig_peak_bins_bti"].sum()
    both = (features["n_3_sig_eclipse_bins_gti"] > 0) & (features["n_3_sig_eclipse_bins_bti"] > 0)
    regions = numbers.features.regions.groupby(["sigma", "kind"]).sum()
    assert regions.loc[(3, "eclipse"), "both"] == both.sum()
    totals = numbers.features.hardness.counts.sum(axis=1)
    assert totals["whole observation"] == features["hr"].notna().sum()
    assert totals["event"] == features["hr_event"].notna().sum()


def test_sources_are_counted(full, numbers):
    archive, unique = full[:2]
    assert numbers.sources.n == len(unique)
    assert numbers.sources.sky["n"].sum() == len(unique)
    assert numbers.sources.separations.total == len(archive.members)
    sigma = unique[["sigma_peak", "sigma_eclipse"]].max(axis=1)
    assert (
        numbers.sources.top["region_num"].tolist()[0]
        in unique.loc[sigma == sigma.max(), "region_num"].tolist()
    )
    assert len(numbers.sources.top) == 4
    regions = archive.regions.compute().set_index("detid")
    for row in numbers.sources.top.to_dict("records"):
        assert row["best_kind"] == regions.loc[row["best_detid"], "kind"]
        assert row["best_t_bin"] == regions.loc[row["best_detid"], "t_bin"]
    assert list(numbers.curves) == numbers.sources.top["best_detid"].head(2).tolist()
    assert all(len(curve) == 30 for curve in numbers.curves.values())


def test_counterparts_are_counted(full, numbers):
    archive, unique, _, _, matches = full
    simbad, gaia, xmm = (matches[name] for name in ("simbad", "gaia_dr3", "4xmm_dr14"))
    assert list(numbers.matches) == ["4xmm_dr14", "gaia_dr3", "simbad"]
    assert numbers.matches["simbad"].matched == simbad["simbad_sep_arcsec"].notna().sum()
    assert numbers.matches["simbad"].sources == len(unique)
    area = np.pi * (20 / 60) ** 2
    expected = (1 - np.exp(-area * gaia["gaia_density_arcmin2"])).sum()
    assert numbers.matches["gaia_dr3"].expected_chance == pytest.approx(expected)
    assert numbers.types.samples.loc["EXOD"].tolist() == [
        len(unique),
        simbad["simbad_otype"].notna().sum(),
    ]
    good = gaia[gaia["gaia_parallax"] >= 5 * gaia["gaia_parallax_error"]]
    colours = (good["gaia_bp_mag"] - good["gaia_rp_mag"]).sort_values()
    np.testing.assert_allclose(numbers.stars["colour"].sort_values(), colours)
    known = xmm[xmm["DR14_SC_EP_8_FLUX"] > 0].merge(unique, on="region_num")
    regions = archive.regions.compute().set_index("detid")
    assert (
        numbers.fluxes["detid"].tolist() == known.sort_values("region_num")["best_detid"].tolist()
    )
    rate = regions.loc[numbers.fluxes["detid"], "peak_rate"].tolist()
    assert numbers.fluxes["peak_rate"].tolist() == rate


def test_what_was_searched_is_counted(full, numbers):
    observations = full[0].observations.compute()
    assert numbers.survey.events == observations["n_events"].sum()
    events = numbers.survey.spreads.loc["Events of an observation"]
    assert events["p50"] == np.median(observations["n_events"])
    rows = listing(numbers, "Cameras and read-out modes").rows
    assert rows[-1][:6] == ("All", "", "", 12, "100.0 %", 8)
    assert rows[1][:6] == ("EMOS2", "FastUncompressed", "Thin1", 4, "33.3 %", 0)
    runs = full[0].runs.compute()
    per_frame = runs["n_events"] / runs["n_frames"]
    wide = per_frame[(runs["t_bin"] == 5) & (runs["e_hi"] - runs["e_lo"] > 11)]
    assert numbers.survey.frames.loc[(5.0, 0.2, 12.0), "mean"] == pytest.approx(wide.mean())
    counts = numbers.survey.regions.sum(axis=1)
    assert counts[counts > 0].to_dict() == runs["n_regions"].value_counts().to_dict()
    features = full[2]
    alone = features["n_max_isolated"].to_numpy(bool) & (features["n_max"] > 6).to_numpy()
    rows = listing(numbers, "Isolated flares").rows
    assert next(row for row in rows if row[0] == 6)[1] == alone.sum()


def test_observations_that_were_not_searched_are_not_in_the_percentiles(tmp_path):
    archive = make_archive(tmp_path / "archive", 2, 2, t_bins=(50.0,))
    before = gather(archive).survey
    left = {name: archive.observation("0700000001")[name] for name in ("observations", "exposures")}
    left = {name: rows.assign(obsid="0799999999") for name, rows in left.items()}
    left["observations"] = left["observations"].assign(n_events=0, n_exposures=0, n_subsets=0)
    left["exposures"] = left["exposures"].assign(used=False, reason="It is a slew.")
    archive.commit("0799999999", "SKIPPED", left, reason="It is a slew.")
    after = gather(open_archive(archive.root)).survey
    pd.testing.assert_frame_equal(after.spreads, before.spreads)
    assert after.subsets.to_dict() == before.subsets.to_dict() == {1: 2}
    assert after.modes["lists"].sum() == before.modes["lists"].sum() + 3
    assert after.modes["searched"].sum() == before.modes["searched"].sum() == 4


def given_tables(archive, folder):
    """Tables of EXTraS, with every second region of 5 s, and of 4XMM."""
    regions = archive.regions.compute()
    some = regions[regions["t_bin"] == 5].iloc[::2]
    extras = pd.DataFrame(
        {
            "OBS_ID": some["obsid"].astype(int),
            "SRCID": np.arange(len(some)),
            "RA": some["ra_deg"],
            "DEC": some["dec_deg"] + 1 / 3600,
            "UB_LC500_CO_PVAL": np.where(np.arange(len(some)) % 2, 0.5, 1e-7),
        }
    )
    nowhere = extras.iloc[:1].assign(OBS_ID=42)
    pd.concat([extras, nowhere]).to_csv(folder / "extras.csv", index=False)
    xmm = pd.DataFrame(
        {
            "SRCID": [1, 2, 3, 3],
            "SC_RA": [0.0, 1.0, 2.0, 2.0],
            "SC_DEC": 0.0,
            "SC_EP_8_FLUX": [1e-14, 1e-13, np.nan, np.nan],
            "SC_VAR_FLAG": [False, True, True, True],
            "main_type": ["Star", "", "QSO", "QSO"],
        }
    )
    xmm.to_csv(folder / "xmm.csv", index=False)
    return some


def test_whole_catalogues_are_compared(full, tmp_path, command):
    archive = full[0]
    some = given_tables(archive, tmp_path)
    path = tmp_path / "report.html"
    options = ("--extras", tmp_path / "extras.csv", "--xmm", tmp_path / "xmm.csv")
    code, _, _ = command("report", archive.root, "--to", path, "--light-curves", 0, *options)
    assert code == 0
    text = " ".join(page_of(path).text)
    assert "EXTraS has 5 observations, and 4 are common" in text
    assert "exod report" not in text
    numbers = gather(archive, extras=tmp_path / "extras.csv", xmm=tmp_path / "xmm.csv")
    members = archive.members.compute().set_index("detid")["region_num"]
    counts = numbers.extras.counts
    assert counts.loc[(0, "all"), "theirs_matched"] == len(some)
    assert counts.loc[(0, "variable"), "theirs"] == len(some.iloc[::2])
    assert counts.loc[(0, "all"), "ours"] == members.nunique()
    assert counts.loc[(0, "all"), "ours_matched"] >= members[some["detid"]].nunique()
    assert numbers.flux_groups.spreads["n"].loc[["4XMM", "4XMM variable"]].tolist() == [2, 1]
    assert numbers.types.samples.loc["4XMM"].tolist() == [3, 2]
    assert numbers.types.samples.loc["4XMM variable"].tolist() == [2, 1]


def test_what_is_not_given_is_told_with_its_command(full, numbers):
    (said,) = blocks(numbers, "EXTraS")
    assert said.text.endswith(f"run `exod report {full[0].root} --extras FILE`.")
    for title in ("SIMBAD types", "Fluxes of 4XMM"):
        told = " ".join(b.text for b in blocks(numbers, title) if isinstance(b, Text) and b.missing)
        assert f"exod report {full[0].root} --xmm FILE" in told


@pytest.mark.parametrize("option", ["--extras", "--xmm"])
def test_tables_that_cannot_be_used_are_told(full, tmp_path, command, option):
    table, page = tmp_path / "table.csv", tmp_path / "report.html"
    table.write_text("RA,DEC\n1,2\n")
    code, _, error = command("report", full[0].root, "--to", page, option, table)
    assert code == 1
    assert "lacks the columns" in error
    code, _, error = command("report", full[0].root, "--to", page, option, tmp_path / "no.fits")
    assert code == 1
    assert "There is no file" in error
    assert not page.exists()


def test_columns_that_a_catalogue_lacks_are_told(tmp_path):
    archive = make_archive(tmp_path / "archive", 2, 2, t_bins=(50.0,))
    add_sources(archive)
    add_match(archive, "gaia_dr3", "gaia_", {})
    numbers = gather(archive)
    assert numbers.stars is None
    assert numbers.matches["gaia_dr3"].sources == 2
    said = blocks(numbers, "Hertzsprung–Russell diagram")[0].text
    assert said.startswith("The counterparts in gaia_dr3 lack a magnitude")


def test_faults_of_tables_are_told(tmp_path):
    archive = make_archive(tmp_path / "archive", 2, 2, t_bins=(50.0,))
    unique = add_sources(archive)
    members = archive.members.compute().iloc[1:]
    gone = unique.assign(best_detid="0700000001_0_50_9_9_0")
    tables = {UNIQUE: gone, MEMBERS: members, LINEAGE: LINEAGE.frame()}
    write(archive, "unique", tables)
    numbers = write_report(archive.root, tmp_path / "report.html")
    wrong = {check.name for check in numbers.checks if not check.passed}
    assert wrong == {
        "Every region is a member of a source",
        "Every source counts its members",
        "The best region of every source is one of its members",
    }
    text = " ".join(page_of(tmp_path / "report.html").text)
    assert "3 of 14 checks did not pass" in text
    assert "not in the archive" in text
    assert "has no light curve" in text


def test_old_products_are_told(tmp_path):
    archive = make_archive(tmp_path / "archive", 2, 2, t_bins=(50.0,))
    add_sources(archive)
    extra = make_survey(tmp_path / "other", 3, 1)
    obsid = extra.entries()[-1].obsid
    archive.commit(obsid, "OK", extra.observation(obsid))
    numbers = gather(open_archive(archive.root))
    texts = [block.text for block in blocks(numbers, "Consistency") if isinstance(block, Text)]
    assert "older than the results" in texts[0]
    rows = listing(numbers, "Versions and settings").rows
    assert rows[0][0] == "unique"
    assert rows[0][3] == "1 observation behind"
    assert not all(check.passed for check in numbers.checks)


def test_tables_are_read_in_parts(tmp_path, monkeypatch):
    """Counts of many partitions are those of one."""
    archive = make_archive(tmp_path / "archive", 4, 3, t_bins=(50.0,))
    add_sources(archive, 3)
    add_light_curve_products(archive)
    whole = gather(archive)
    monkeypatch.setattr("exod.archive.parts.PARTITION_FILES", 1)
    assert archive.regions.npartitions == 4
    parts = gather(archive)
    pd.testing.assert_frame_equal(parts.runs, whole.runs)
    pd.testing.assert_frame_equal(parts.flags, whole.flags)
    pd.testing.assert_frame_equal(parts.features.regions, whole.features.regions)
    pd.testing.assert_frame_equal(parts.sources.top, whole.sources.top)
    for name, shown in whole.histograms.items():
        pd.testing.assert_frame_equal(parts.histograms[name].counts, shown.counts)
