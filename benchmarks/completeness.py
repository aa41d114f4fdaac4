"""What completeness costs, beside the search: maps, virtual bursts, injected bursts.

``python -m benchmarks.completeness`` simulates one observation and prints the table of
docs/completeness.md. Times are medians; ratios are to the search of the same runs.
"""

from __future__ import annotations

import numpy as np

from benchmarks.measure import timed
from exod.bayes import Thresholds
from exod.completeness.campaign import Campaign
from exod.completeness.fields import burst_places, common_time, measured_sites, quiet_field
from exod.completeness.maps import detection_counts
from exod.completeness.virtual import SearchedRun, virtual_injection
from exod.config import Config
from exod.expectation import Expectation
from exod.search import search_subset
from exod.simulate import simulate
from exod.stages.completeness import measure
from exod.stages.memory import in_memory
from exod.variability import variable_places

BURSTS = 1000


def main() -> None:
    """Measure and print."""
    config, thresholds = Config(), Thresholds(3.0)
    campaign = Campaign(amplitudes=(20.0,), durations=(50.0,), off_axis=(6.0,))
    point = campaign.points()[0]
    model = quiet_field(point, campaign.length)
    loaded = in_memory(simulate(model, 1), config)
    found = list(search_subset(loaded.obsid, loaded.subsets[0], loaded.sources, config))
    runs = [
        SearchedRun(run.runid, run.band, run.cube, run.expectation)
        for run in found
        if isinstance(run.expectation, Expectation)
    ]
    size = runs[0].cube.grid.size_arcsec

    generator = np.random.default_rng(1)
    places = burst_places(model, 6.0, 10, generator)
    sites = measured_sites(model, places, config, 1)
    low, high = common_time(model)
    start = generator.uniform(low, high - 50.0, BURSTS)

    def search() -> None:
        list(search_subset(loaded.obsid, loaded.subsets[0], loaded.sources, config))

    def maps() -> None:
        for run in runs:
            detection_counts(run.expectation, thresholds, size)

    def virtual() -> None:
        virtual_injection(runs, thresholds, sites, 20.0, 50.0, start, generator)

    def older() -> None:
        for run in found:
            variable_places(run.cube, ~run.expectation.is_bad & ~run.cube.masked)

    searching, mapping, injecting, old, whole = timed(
        search, maps, virtual, older, lambda: measure(point, campaign)
    )
    rows = [
        (f"search, {len(found)} runs", searching),
        (f"maps of 50 and 90 %, {len(runs)} runs", mapping),
        (f"{BURSTS:,} virtual bursts, {len(runs)} runs", injecting),
        (f"variability images of EXOD I, {len(found)} runs", old),
        ("one injected observation: simulated, searched, matched", whole),
    ]
    print("| | ms | ratio to the search |\n|---|---|---|")
    for name, seconds in rows:
        print(f"| {name} | {1e3 * seconds:.1f} | {seconds / searching:.3f} |")


if __name__ == "__main__":
    main()
