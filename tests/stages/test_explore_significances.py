"""What is kept of the significance of sources: all that it was, at every generation."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.schemas.explorer import SIGNIFICANCES
from exod.stages.explore.significances import with_news

VALUES = st.sampled_from([1.0, 2.5, math.nan])
MAKINGS = st.lists(
    st.tuples(st.booleans(), st.dictionaries(st.integers(0, 4), st.tuples(VALUES, VALUES))),
    min_size=1,
    max_size=5,
)


@settings(max_examples=portion(20))
@given(makings=MAKINGS)
def test_what_a_source_was_at_each_generation_can_be_told(makings) -> None:
    rows, expected, generation = SIGNIFICANCES.frame(), {}, 0
    for is_new, sources in makings:
        generation += is_new
        expected[generation] = sources
        now = pd.DataFrame(
            [(number, *values) for number, values in sources.items()],
            columns=["region_num", "sigma_peak", "sigma_eclipse"],
        )
        rows = with_news(rows, now.astype({"region_num": "int64"}), generation)
    for generation, sources in expected.items():
        for number, values in sources.items():
            own = rows[(rows["region_num"] == number) & (rows["generation"] <= generation)].iloc[-1]
            np.testing.assert_array_equal(
                own[["sigma_peak", "sigma_eclipse"]].astype(float), values
            )
    assert len(rows) <= sum(map(len, expected.values()))
