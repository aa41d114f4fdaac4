"""The nearest rows, as pages find them."""

from __future__ import annotations

import numpy as np
from helpers.javascript import run_module

BODY = """
    const numbers = given.numbers.map((column) => Float32Array.from(column));
    const regions = BigInt64Array.from(given.regions, BigInt);
    return given.queries.map((query) => own.nearest(numbers, regions, query, given.most));
"""


def test_the_nearest_of_each_other_source():
    random = np.random.default_rng(2)
    numbers = random.normal(size=(32, 200)).astype(np.float32)
    regions = np.sort(random.integers(0, 40, 200))
    first, other = 17, 120
    numbers[:, other] = numbers[:, first]
    queries = [first, 0, 199]
    given = {"numbers": numbers.tolist(), "regions": regions.tolist(), "queries": queries}
    found = run_module("nearest.js", BODY, given | {"most": 12})
    assert regions[first] != regions[other]
    assert found[0][0] == {"row": other, "distance": 0}
    for query, own in zip(queries, found, strict=True):
        apart = np.sqrt(((numbers.T - numbers[:, query]).astype(float) ** 2).sum(axis=1))
        best = [
            rows[apart[rows].argmin()]
            for number in set(regions.tolist()) - {regions[query]}
            for rows in [np.flatnonzero(regions == number)]
        ]
        best.sort(key=lambda row: apart[row])
        assert [item["row"] for item in own] == best[:12]
        np.testing.assert_allclose([item["distance"] for item in own], apart[best[:12]], rtol=1e-5)


def test_a_source_alone_has_no_likes():
    given = {"numbers": [[1, 2]] * 32, "regions": [4, 4], "queries": [0], "most": 12}
    assert run_module("nearest.js", BODY, given) == [[]]
