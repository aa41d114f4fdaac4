"""How the sources of an observation vary: event lists in, a table out."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from helpers.faults import GOOD

from exod.errors import ConfigError
from exod.pps import find_observations
from exod.stages.places.variability import variability_of

Command = Callable[..., tuple[int, str, str]]


def test_sources_of_an_observation_by_command(small: Path, command: Command) -> None:
    (files,), _ = find_observations([small / GOOD])
    rows = variability_of(files)
    assert len(rows) > 1
    assert (rows["n"] >= 30).all()
    assert rows["p"].is_monotonic_increasing
    assert rows["background"].between(0, 1).all()
    assert ((rows["dip_stop"] > rows["dip_start"]) == np.isfinite(rows["dip"])).all()
    code, output, _ = command("variability", small / GOOD, "--most", "2")
    assert code == 0
    assert f"{rows['ra_deg'][0]:.4f}" in output
    assert command("variability", small)[0] == 2


def test_an_observation_without_exposures_is_told(small: Path, tmp_path: Path) -> None:
    (files,), _ = find_observations([small / GOOD])
    with pytest.raises(ConfigError, match="can be searched"):
        variability_of(type(files)(files.obsid, (), files.source_lists, files.notes))
