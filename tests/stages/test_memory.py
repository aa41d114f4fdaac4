"""Simulations searched in memory give what their files give."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import exod
from exod.config import Config
from exod.search.subset import search_subset
from exod.simulate import default_observation, simulate
from exod.stages.inputs.memory import in_memory
from exod.stages.inputs.simulate import write_observation


def test_same_runs_as_from_files(tmp_path: Path) -> None:
    config = Config()
    observation = simulate(default_observation("0900000101", 3, duration=4000.0), 3)
    tables = exod.detect(write_observation(observation, tmp_path)[0].parent, config)
    found = in_memory(observation, config)
    assert len(found.subsets) == 1
    runs = list(search_subset(found.obsid, found.subsets[0], found.sources, config))
    assert [run.runid for run in runs] == tables.runs["runid"].tolist()
    assert [run.cube.n_sum for run in runs] == tables.runs["n_sum"].tolist()
    assert [len(run.regions) for run in runs] == tables.runs["n_regions"].tolist()
    mu = [run.expectation.image().sum() for run in runs]
    np.testing.assert_allclose(mu, tables.runs["mu_sum"], rtol=1e-6)
    assert sum(tables.runs["n_regions"]) > 0


@pytest.mark.parametrize("cameras", [("EMOS1",), ("EMOS1", "EMOS2")])
def test_sources_are_those_that_mask(cameras: tuple[str, ...]) -> None:
    observation = simulate(
        default_observation("0900000101", 3, duration=2000.0, cameras=cameras), 3
    )
    sources = in_memory(observation, Config()).sources
    assert (sources["det_ml"] > 8).all()
    assert len(sources) == (observation.source_list["EP_DET_ML"] > 8).sum()
