"""The fold of votes against a replay of every event, and agreement against counting of pairs."""

import itertools
import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from helpers.examples import portion
from hypothesis import given, settings
from hypothesis import strategies as st

from exod.schemas import LINEAGE
from exod.schemas.votes import LABELS, VERDICTS, VOTES, WITHDRAWN
from exod.sources.vetting.agreement import confusion, fleiss_kappa, kappa_of_verdicts
from exod.sources.vetting.verdicts import VoteTally, verdicts, vote_states

VERSIONS = ["20260101T000000-b", "20260101T000000-a", "20260201T000000-c", "20260301T000000-d"]
"""Of generations 1 to 4; the first two were made in the same second."""

NUMBERS = st.integers(1, 5)


def vote(event: str, vetter: str, clock: int, number: int, label: str, version: str = "") -> dict:
    rest = dict.fromkeys(["detid", "classes", "note", "supersedes", "view", "software"], "")
    about = {"event": event, "vetter": vetter, "clock": clock, "time": 61000.0, "score": -1}
    seen = {"region_num": number, "unique_version": version, "label": label, "seconds": 2.0}
    return {**rest, **about, **seen}


def change(what: str, number: int, other: int, generation: int) -> dict:
    place = {"srcid": f"EXOD {number}", "ra_deg": 1.0, "dec_deg": 2.0}
    version = {"version": VERSIONS[generation - 1], "generation": generation}
    return {"region_num": number, "change": what, "other": other, **version, **place}


@st.composite
def lineages(draw) -> list[dict]:
    found = []
    for generation in (1, 2, 3, 4):
        ended = draw(st.sets(NUMBERS, max_size=2))
        for number in sorted(ended):
            into = draw(NUMBERS.filter(lambda other, ended=ended: other not in ended))
            found.append(change("merged", number, into, generation))
        parents = sorted(draw(st.sets(NUMBERS, max_size=1)) - ended)
        found += [change("split", 10 + generation, parent, generation) for parent in parents]
        found.append(change("new", 20 + generation, -1, generation))
    return draw(st.permutations(found))


@st.composite
def vote_logs(draw) -> list[dict]:
    names = [f"{number:03d}" for number in range(draw(st.integers(0, 25)))]
    found = [
        vote(
            name,
            draw(st.sampled_from(["ada", "bo", "cy"])),
            draw(st.integers(1, 6)),
            draw(NUMBERS),
            draw(st.sampled_from([*LABELS, WITHDRAWN])),
            draw(st.sampled_from(["", *VERSIONS])),
        )
        for name in names
    ]
    twice = draw(st.lists(st.sampled_from(found), max_size=3)) if found else []
    return draw(st.permutations([*found, *twice]))


def replayed(votes: list[dict], lineage: list[dict]) -> dict:
    """Each event as it goes from generation to generation, and the last one of each pair."""
    state = {}
    unique = {one["event"]: one for one in votes}.values()
    for one in sorted(unique, key=lambda one: (one["clock"], one["event"])):
        version = one["unique_version"]
        now, stale = one["region_num"], False
        for generation in range(VERSIONS.index(version) + 2 if version else 1, 5):
            rows = [row for row in lineage if row["generation"] == generation]
            parents = {row["other"] for row in rows if row["change"] == "split"}
            stale = stale or now in parents
            into = {r["region_num"]: r["other"] for r in rows if r["change"] == "merged"}
            now = into.get(now, now)
            stale = stale or now in parents
        state[one["vetter"], now] = (one["label"], one["event"], stale)
    return {pair: value for pair, value in state.items() if value[0] != WITHDRAWN}


@given(vote_logs(), lineages())
@settings(max_examples=portion(150), deadline=None)
def test_states_are_those_of_a_replay(votes, lineage):
    found = vote_states(VOTES.frame(votes), LINEAGE.frame(lineage))
    expected = replayed(votes, lineage)
    columns = ["vetter", "region_num", "label", "event", "stale"]
    rows = found[columns].itertuples(index=False)
    assert {(v, n): (label, event, stale) for v, n, label, event, stale in rows} == expected
    assert found["region_num"].is_monotonic_increasing
    check_verdicts(found, expected)


@pytest.mark.drill
@given(vote_logs(), lineages(), st.lists(st.integers(0, 25), max_size=4))
@settings(max_examples=portion(100), deadline=None)
def test_events_that_come_in_parts(votes, lineage, cuts):
    """Whatever the parts and their order, a tally is the one of all events at once."""
    whole, parts = VoteTally(LINEAGE.frame(lineage)), VoteTally(LINEAGE.frame(lineage))
    rows = [*VOTES.frame(votes).itertuples(index=False, name=None)]
    whole.add(rows)
    for start, stop in itertools.pairwise([0, *sorted(cuts), 99]):
        parts.add(rows[start:stop])
    assert parts.decided == whole.decided
    pd.testing.assert_frame_equal(parts.states(), whole.states())
    found = verdicts(whole.states()).set_index("region_num")
    told = zip(found.index, found["n_votes"], found["verdict"], strict=True)
    assert whole.decided == {number: (count, verdict) for number, count, verdict in told}


def check_verdicts(states: pd.DataFrame, expected: dict) -> None:
    found = verdicts(states)
    assert list(found.columns) == VERDICTS.schema.names
    assert found["region_num"].to_list() == sorted({number for _, number in expected})
    for row in found.to_dict("records"):
        own = [value for (_, n), value in expected.items() if n == row["region_num"]]
        counted = Counter(label for label, _, stale in own if not stale)
        assert row["n_votes"] == counted.total()
        assert row["n_stale"] == len(own) - counted.total()
        assert [row[f"n_{label}"] for label in LABELS] == [counted[label] for label in LABELS]
        winners = [k for k, n in counted.items() if n >= 2 and n > counted.total() / 2]
        told = winners[0] if winners else "conflict" if counted.total() >= 2 else "open"
        assert row["verdict"] == told
        assert row["conflict"] == (told == "conflict")


@pytest.mark.parametrize(
    ("labels", "verdict"),
    [
        (["real"], "open"),
        (["real", "real"], "real"),
        (["real", "artefact"], "conflict"),
        (["real", "real", "artefact"], "real"),
        (["real", "real", "artefact", "artefact"], "conflict"),
        (["real", "real", "artefact", "unsure"], "conflict"),
        (["artefact", "none", "artefact"], "artefact"),
    ],
)
def test_two_equal_votes_and_a_majority(labels, verdict):
    votes = [vote(str(k), f"v{k}", 1, 3, label) for k, label in enumerate(labels)]
    found = verdicts(vote_states(VOTES.frame(votes), LINEAGE.frame()))
    assert found["verdict"].to_list() == [verdict]


def test_a_vote_from_before_a_split_is_stale():
    """Also where both versions were made in one second, and their names sort at random."""
    lineage = LINEAGE.frame([change("new", 3, -1, 1), change("split", 8, 3, 2)])
    before = vote("a", "ada", 1, 3, "real", VERSIONS[0])
    after = vote("b", "bo", 1, 3, "real", VERSIONS[1])
    found = vote_states(VOTES.frame([before, after]), lineage)
    assert found["stale"].to_list() == [True, False]
    counted = verdicts(found)[["n_votes", "n_stale", "verdict"]]
    assert counted.to_numpy().tolist() == [[1, 1, "open"]]


FLEISS = [
    [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
    [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
]  # fmt: skip


def test_kappa_of_a_known_example():
    """Ten subjects and fourteen raters, a common worked example: 0.210."""
    assert fleiss_kappa(FLEISS) == pytest.approx(0.210, abs=5e-4)


@given(st.lists(st.lists(st.integers(0, 4), min_size=4, max_size=4), max_size=8))
@settings(max_examples=portion(100), deadline=None)
def test_kappa_is_that_of_pairs(counts):
    kept, shares, pooled = [], [], Counter()
    for row in counts:
        labels = [label for label, n in enumerate(row) for _ in range(n)]
        pairs = list(itertools.combinations(labels, 2))
        if pairs:
            kept.append(row)
            shares.append(sum(one == other for one, other in pairs) / len(pairs))
            pooled.update(labels)
    found = fleiss_kappa(np.array(counts, int).reshape(-1, 4))
    if len(pooled) < 2:
        assert math.isnan(found)
        return
    chance = sum((n / pooled.total()) ** 2 for n in pooled.values())
    assert found == pytest.approx((np.mean(shares) - chance) / (1 - chance))


@given(vote_logs(), st.dictionaries(NUMBERS, st.sampled_from(["real", "artefact"])))
@settings(max_examples=portion(60), deadline=None)
def test_confusion_is_counted(votes, controls):
    states = vote_states(VOTES.frame(votes), LINEAGE.frame())
    found = confusion(states, controls)
    rows = states.to_dict("records")
    assert found["vetter"].to_list() == sorted(
        {row["vetter"] for row in rows if row["region_num"] in controls}
    )
    for about in found.to_dict("records"):
        own = [r for r in rows if r["vetter"] == about["vetter"] and r["region_num"] in controls]
        for answer, share in (("real", "completeness"), ("artefact", "false_alarms")):
            labels = [r["label"] for r in own if controls[r["region_num"]] == answer]
            assert [about[f"{answer}_as_{label}"] for label in LABELS] == [
                labels.count(label) for label in LABELS
            ]
            believed = sum(label in ("real", "interesting") for label in labels)
            if labels:
                assert about[share] == believed / len(labels)
            else:
                assert math.isnan(about[share])


def test_nobody_voted():
    states = vote_states(VOTES.frame(), LINEAGE.frame())
    found = verdicts(states)
    assert (len(states), len(found), len(confusion(states, {1: "real"}))) == (0, 0, 0)
    assert math.isnan(kappa_of_verdicts(found))
