"""Settings: frozen, typed, unknown keys refused, with a fingerprint."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from exod.config import Config
from exod.errors import ConfigError


def test_defaults_are_the_published_runs():
    config = Config()
    assert config.cube.t_bin == (5, 50, 200)
    assert config.cube.bands == ((0.2, 2.0), (2.0, 12.0), (0.2, 12.0))
    assert config.cube.size_arcsec == 20
    assert (config.detect.sigma, config.detect.rule) == (3, "exod2")
    assert (config.selection.flags, config.selection.hot_pixels) == ("header", "find")
    assert not config.cube.gti_only
    assert config.cube.mask_bad_ccd


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({"cubes": {}}, "cubes: unknown setting"),
        ({"cube": {"tbin": [5]}}, "cube.tbin: unknown setting"),
        ({"cube": {"t_bin": []}}, "cube.t_bin: "),
        ({"cube": {"t_bin": [0]}}, "cube.t_bin.0: .*greater than 0"),
        ({"cube": {"t_bin": [-5]}}, "cube.t_bin.0: "),
        ({"cube": {"t_bin": [float("inf")]}}, "cube.t_bin.0: "),
        ({"cube": {"t_bin": [float("nan")]}}, "cube.t_bin.0: "),
        ({"cube": {"t_bin": [5, 5]}}, "cube.t_bin: the same value is given twice"),
        ({"cube": {"t_bin": "five"}}, "cube.t_bin: "),
        ({"cube": {"size_arcsec": 4.9}}, "cube.size_arcsec: "),
        ({"cube": {"size_arcsec": 301}}, "cube.size_arcsec: "),
        ({"cube": {"bands": []}}, "cube.bands: "),
        ({"cube": {"bands": [[2.0, 0.5]]}}, "band 2-0.5 keV must ascend"),
        ({"cube": {"bands": [[0.1, 2.0]]}}, "within 0.2 and 12 keV"),
        ({"cube": {"bands": [[2.0, 12.5]]}}, "within 0.2 and 12 keV"),
        ({"cube": {"bands": [[2.0, float("nan")]]}}, "keV must ascend"),
        ({"cube": {"bands": [[2.0, 3.0], [2.0, 3.0]]}}, "given twice"),
        ({"cube": {"bands": [[1, 2, 3]]}}, "cube.bands.0: "),
        ({"detect": {"sigma": 0.5}}, "detect.sigma: "),
        ({"detect": {"sigma": 11}}, "detect.sigma: "),
        ({"detect": {"rule": "exod3"}}, "detect.rule: "),
        ({"selection": {"flags": "some"}}, "selection.flags: "),
        ({"detect": 3}, "detect: "),
    ],
)
def test_impossible_settings_are_named(data, problem):
    with pytest.raises(ConfigError, match=problem) as caught:
        Config.parse(data)
    assert str(caught.value).startswith("The settings are not valid: ")


def test_all_problems_are_named_at_once():
    with pytest.raises(ConfigError, match=r"detect\.sigma: .*; detect\.rule: "):
        Config.parse({"detect": {"sigma": 99, "rule": "x"}})


def test_settings_are_frozen():
    config = Config()
    with pytest.raises(ValidationError, match="frozen"):
        config.cube = None
    with pytest.raises(ValidationError, match="frozen"):
        config.detect.sigma = 5
    assert hash(config) == hash(Config())


# --- loading ---------------------------------------------------------------------------------


def test_file_and_overrides(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text('[cube]\nt_bin = [10]\n[selection]\nflags = "none"\n', encoding="utf-8")
    config = Config.load(path, ["detect.sigma=4.5", "cube.t_bin=[20, 30]", "detect.rule=exact"])
    assert config.cube.t_bin == (20, 30)
    assert config.selection.flags == "none"
    assert config.detect.sigma == 4.5
    assert config.detect.rule == "exact"
    assert Config.load(path).cube.t_bin == (10,)
    assert Config.load() == Config()


@pytest.mark.parametrize("text", ["[cube\n", "a = ", "[cube]\nt_bin = [5]\nt_bin = [6]\n"])
def test_broken_files(tmp_path, text):
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"settings\.toml cannot be read"):
        Config.load(path)


def test_files_that_are_not_text_or_not_there(tmp_path):
    path = tmp_path / "settings.toml"
    with pytest.raises(ConfigError, match="cannot be read"):
        Config.load(path)
    with pytest.raises(ConfigError, match="cannot be read"):
        Config.load(tmp_path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        Config.load(path)


@pytest.mark.parametrize("text", ["sigma=3", "detect.sigma", "=3", "detect.=3", ".sigma=3"])
def test_overrides_without_a_table_or_value(text):
    with pytest.raises(ConfigError):
        Config.load(overrides=[text])


def test_overrides_of_something_that_is_no_table(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text("detect = 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="not a table"):
        Config.load(path, ["detect.sigma=3"])


def test_unknown_override_is_named():
    with pytest.raises(ConfigError, match=r"detect\.sigmas: unknown setting"):
        Config.load(overrides=["detect.sigmas=3"])


# --- fingerprints ----------------------------------------------------------------------------


changes = st.sampled_from(
    [
        ("detect.sigma", "5"),
        ("detect.rule", "exact"),
        ("cube.t_bin", "[5]"),
        ("cube.t_bin", "[50, 5, 200]"),
        ("cube.bands", "[[0.2, 2.0]]"),
        ("cube.size_arcsec", "10"),
        ("cube.gti_only", "true"),
        ("cube.mask_bad_ccd", "false"),
        ("selection.flags", "none"),
        ("selection.hot_pixels", "off"),
    ]
)


@given(changes, changes)
def test_fingerprints_differ_exactly_if_settings_do(a, b):
    first, second = (Config.load(overrides=["=".join(change)]) for change in (a, b))
    assert (first.fingerprint() == second.fingerprint()) == (a == b)
    assert first.fingerprint() != Config().fingerprint()
    assert len(first.fingerprint()) == 16
    assert int(first.fingerprint(), 16) >= 0


def test_whole_and_decimal_numbers_are_the_same_setting():
    whole = Config.parse({"cube": {"t_bin": [5, 50, 200], "size_arcsec": 20}})
    assert whole.fingerprint() == Config().fingerprint()


def test_round_trip():
    config = Config.load(overrides=["cube.t_bin=[7.3]", "detect.rule=exact"])
    assert Config.parse(config.model_dump(mode="json")) == config


def test_fingerprint_is_the_same_in_every_process():
    code = "from exod.config import Config; print(Config().fingerprint())"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == Config().fingerprint()
