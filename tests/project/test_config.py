"""Settings: frozen, typed, unknown keys refused, with a fingerprint."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from exod.cli.options import read_config
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


# --- presets ---------------------------------------------------------------------------------


def test_the_published_preset_is_the_default():
    assert Config.preset("published") == Config()
    assert Config.preset("published").fingerprint() == Config().fingerprint()
    assert not Config().cube.slides
    assert Config().detect.false_alarm_rate is None


def test_the_deep_preset_slides():
    config = Config.preset("deep")
    assert (config.cube.window, config.cube.frame_shifts, config.cube.slides) == (2, 2, True)
    assert config.cube.t_bin == (1, 2.5, 6, 15, 40, 100, 250, 600, 1500, 4000)
    assert config.detect.false_alarm_rate == 0.1
    assert config.detect.rule == "exact"
    assert config.cube.bands == Config().cube.bands
    assert Config.parse(config.model_dump(mode="json")) == config


@pytest.mark.parametrize("setting", ["window", "frame_shifts"])
def test_windows_or_frames_that_overlap_slide(setting):
    assert Config.parse({"cube": {setting: 2}}).cube.slides
    assert not Config.parse({"cube": {setting: 1}}).cube.slides


def test_a_preset_in_a_file_is_changed_by_the_file_and_by_overrides(tmp_path):
    path = tmp_path / "settings.toml"
    path.write_text('preset = "deep"\n[cube]\nwindow = 1\n[detect]\nsigma = 4\n', encoding="utf-8")
    config = Config.load(path, ["cube.t_bin=[10]"])
    deep = Config.preset("deep")
    assert (config.cube.window, config.cube.frame_shifts) == (1, 2)
    assert config.cube.size_arcsec == deep.cube.size_arcsec
    assert config.cube.t_bin == (10,)
    assert (config.detect.sigma, config.detect.false_alarm_rate) == (4, 0.1)
    # The file says which preset it is about.
    assert Config.load(path, ["cube.t_bin=[10]"], "published") == config


def test_overrides_without_a_file_change_a_preset():
    config = Config.load(overrides=["detect.false_alarm_rate=0.5"], preset="deep")
    assert config.detect.false_alarm_rate == 0.5
    assert config.cube == Config.preset("deep").cube
    assert Config.preset("deep").detect.false_alarm_rate == 0.1


def test_unknown_presets(tmp_path):
    with pytest.raises(ConfigError, match=r"no preset 'deeper'; use one of published, deep"):
        Config.preset("deeper")
    path = tmp_path / "settings.toml"
    path.write_text("preset = 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="no preset '3'"):
        Config.load(path)
    path.write_text("cube = 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="cube: "):
        Config.load(path, preset="deep")


@pytest.mark.parametrize(("rate", "value"), [("0.25", 0.25), ("none", None), ('"none"', None)])
def test_false_alarm_rates(rate, value):
    config = Config.load(overrides=[f"detect.false_alarm_rate={rate}"], preset="deep")
    assert config.detect.false_alarm_rate == value


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("detect", "false_alarm_rate", 0.0),
        ("detect", "false_alarm_rate", 1e-7),
        ("detect", "false_alarm_rate", 1001),
        ("detect", "false_alarm_rate", "some"),
        ("detect", "false_alarm_rate", float("nan")),
        ("cube", "window", 0),
        ("cube", "window", 5),
        ("cube", "window", 1.5),
        ("cube", "frame_shifts", 0),
        ("cube", "frame_shifts", 5),
    ],
)
def test_impossible_windows_and_rates(table, key, value):
    with pytest.raises(ConfigError, match=rf"{table}\.{key}: "):
        Config.parse({table: {key: value}})


def test_options_of_the_command_line():
    """The threshold of the user is the one that counts."""
    deep = read_config(None, None, None, None, None, "deep")
    assert deep == Config.preset("deep")
    assert read_config(None, None, None, None, None) == Config()
    sigma = read_config(None, None, "5,50", None, 4.5, "deep")
    assert (sigma.detect.sigma, sigma.detect.false_alarm_rate) == (4.5, None)
    assert sigma.cube.t_bin == (5, 50)
    assert sigma.cube.window == 2
    both = read_config(None, ["detect.false_alarm_rate=3"], None, None, 4.5, "deep")
    assert (both.detect.sigma, both.detect.false_alarm_rate) == (4.5, 3)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--preset", "deeper"), "no preset 'deeper'"), (("--sigma", "0.1"), "detect.sigma")],
)
def test_the_command_refuses_impossible_presets(command, small, tmp_path, arguments, said):
    folder = sorted(small.iterdir())[0]
    code, _, err = command("detect", folder, "--archive", tmp_path / "archive", *arguments)
    assert code != 0
    assert said in " ".join(err.split())
    assert not (tmp_path / "archive").exists()


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
        ("cube.window", "2"),
        ("cube.frame_shifts", "2"),
        ("detect.false_alarm_rate", "0.1"),
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
