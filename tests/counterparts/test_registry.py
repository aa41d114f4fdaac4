"""What the declarations of catalogues say, and what is said about wrong ones."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pyarrow as pa
import pytest
from astropy.io.votable.ucd import check_ucd
from astropy.units import Unit

import exod
from exod.counterparts.registry import declared_as, declared_in, known, registry
from exod.errors import ConfigError
from exod.schemas import MATCH
from exod.tablefiles.shipped import catalogs_folder

EXPECTED = {
    "2mass",
    "4xmm_dr14s",
    "5xmm_dr15",
    "csc21",
    "erass1",
    "exod2_detections",
    "exod2_sources",
    "4xmm_dr14",
    "chime_frb",
    "claxon",
    "extras",
    "gaia_dr3",
    "glade_plus",
    "icrf",
    "sdss",
    "simbad",
    "tycho2",
    "usno_b1",
    "xmm_om_suss",
}
GOOD = {
    "title": "Mine",
    "method": "table",
    "prefix": "mine_",
    "ra": ["RA"],
    "dec": ["DEC"],
}


def test_all_catalogues_are_declared():
    assert set(registry()) == EXPECTED
    prefixes = {name: registry()[name].prefix for name in EXPECTED}
    assert len(set(prefixes.values())) == len(EXPECTED)
    assert prefixes["gaia_dr3"] == "gaia_"
    assert prefixes["4xmm_dr14"] == "DR14_"
    assert prefixes["xmm_om_suss"] == "SUSS6_"
    assert prefixes["simbad"] == "simbad_"


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_each_says_what_a_user_must_know(name):
    catalogue = known(name)
    assert catalogue.licence
    assert catalogue.citation
    assert catalogue.obtain
    assert catalogue.columns or catalogue.name == "extras"
    table = catalogue.table()
    names = [column.name for column in table.columns]
    assert len(set(names)) == len(names)
    assert names[: len(MATCH)] == [column.name for column in MATCH]
    for column in table.columns[len(MATCH) :]:
        assert column.name.startswith(catalogue.prefix)
        assert column.nullable
        assert column.description
        assert not column.ucd or check_ucd(column.ucd, check_controlled_vocabulary=True)
        Unit(column.unit, format="fits")
    sep = [f"{catalogue.prefix}{n}" for n in ("sep_arcsec", "dra_arcsec", "ddec_arcsec")]
    assert set(sep) <= set(names)
    # The positions that are matched are those that are kept.
    called = {name for column in catalogue.columns for name in column.names}
    assert not catalogue.columns or name in {"claxon"} or set(catalogue.ra) <= called
    assert catalogue.method != "cds-xmatch" or catalogue.density_radius_arcsec <= 180


def test_columns_of_4xmm_are_those_of_the_method():
    names = [column.name for column in known("4xmm_dr14").columns]
    assert names == [
        *("IAUNAME", "SRCID", "SC_RA", "SC_DEC", "SC_POSERR", "SC_EP_8_FLUX", "SC_VAR_FLAG"),
        *("N_DETECTIONS", *(f"SC_EP_{band}_FLUX" for band in (1, 2, 3, 4, 5, 9))),
    ]
    assert known("gaia_dr3").table().schema.field("gaia_source_id").type == pa.int64()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"colour": "red"}, "colour: is not known"),
        ({"columns": [{"name": "a", "type": "int64", "description": "A", "x": 1}]}, "columns.0.x"),
        ({"columns": [{"name": "a", "type": "long", "description": "A"}]}, "columns.0.type"),
        ({"columns": [{"name": "p_chance", "type": "int64", "description": "A"}]}, "come twice"),
        ({"radius_arcsec": 0}, "radius_arcsec"),
        ({"radius_arcsec": 700.0}, "density_radius_arcsec must be larger"),
        ({"prefix": "mine"}, "prefix"),
        ({"method": "post"}, "method"),
        ({"method": "hats"}, "needs where"),
        ({"ra": []}, "ra"),
        ({"motion": {"ra": ["a"], "dec": ["b"]}}, "need an epoch"),
        ({"name": "../x"}, "letters, digits"),
        ({"whole": True}, "whole tables"),
    ],
)
def test_wrong_declarations_are_told(change, sentence):
    with pytest.raises(ConfigError, match="is declared wrongly") as error:
        declared_as("mine", GOOD | change, "mine.toml")
    assert sentence in str(error.value)
    assert "\n" not in str(error.value)


def test_unknown_and_unreadable_catalogues_are_told(tmp_path):
    with pytest.raises(ConfigError, match=r"no catalogue 'gaia_dr2'; known are .*gaia_dr3"):
        known("gaia_dr2")
    bad = tmp_path / "bad.toml"
    bad.write_text("title = ")
    with pytest.raises(ConfigError, match=r"bad.toml cannot be read"):
        declared_in(bad)
    with pytest.raises(ConfigError, match="cannot be read"):
        declared_in(tmp_path / "none.toml")


def test_texts_do_not_change_results_but_settings_do():
    first = declared_as("mine", GOOD, "mine")
    assert declared_as("mine", GOOD | {"notes": "x"}, "mine").fingerprint == first.fingerprint
    assert declared_as("mine", GOOD | {"epoch": 2000}, "mine").fingerprint != first.fingerprint


def test_the_folder_is_found_where_the_package_is_worked_on():
    assert catalogs_folder() == Path(exod.__file__).parents[1] / "catalogs"
    assert {path.stem for path in catalogs_folder().glob("*.toml")} == EXPECTED


def test_a_wheel_has_the_declarations(tmp_path):
    """What is built holds them inside the package, and finds them there."""
    root = Path(exod.__file__).parents[1]
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    included = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included == {"catalogs": "exod/catalogs"}
    builder = pytest.importorskip("hatchling.builders.wheel", reason="hatchling is not installed")
    wheel = next(builder.WheelBuilder(str(root)).build(directory=str(tmp_path)))
    with zipfile.ZipFile(wheel) as file:
        file.extractall(tmp_path / "site")
    code = (
        "from exod.counterparts.registry import registry; "
        "from exod.stages.derive.flaginputs import read_excluded; "
        "from exod.tablefiles.pixeltable import hot_pixel_table, read_hot_pixel_table; "
        "from exod.tablefiles.shipped import catalogs_folder; "
        "pixels = read_hot_pixel_table(hot_pixel_table('4xmm-dr14')); "
        "print(catalogs_folder(), len(read_excluded()), len(pixels), *registry())"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path / "site",
        capture_output=True,
        text=True,
        check=True,
    )
    folder, n_excluded, n_pixels, *names = run.stdout.split()
    assert int(n_excluded) == 181
    assert int(n_pixels) > 10_000
    assert Path(folder) == tmp_path / "site" / "exod" / "catalogs"
    assert set(names) == EXPECTED
