"""Object types of SIMBAD: the table of names, sub-classes in samples, separations by type."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exod.catalogue.report.objecttypes import (
    CLASSES,
    FEW,
    UNKNOWN,
    describe_types,
    named_types,
    type_names,
)
from exod.stages.report.giventables import read_types

NAMES = type_names(read_types())
TEXTS = ("QSO", "AG?", "AGN_Candidate", "LXB", "LowMassXBin", "Star", "*", "X", " Sy1 ", "new!", "")


def test_the_table_of_types_is_whole():
    table = read_types()
    assert set(table["class"]) == set(CLASSES)
    assert not table["otype"].duplicated().any()
    assert not table["name"].duplicated().any()
    assert (table[["otype", "label", "name"]] != "").all(axis=None)
    candidates = table["candidate"][table["candidate"] != ""]
    assert not candidates.duplicated().any()
    assert not set(candidates) & set(table["otype"])


@pytest.mark.parametrize(
    ("text", "name", "kind"),
    [
        ("LXB", "Low-mass X-ray binary", "Compact object or explosion"),
        ("LowMassXBin", "Low-mass X-ray binary", "Compact object or explosion"),
        ("LX?", "Low-mass X-ray binary (candidate)", "Compact object or explosion"),
        ("LowMassXBin_Candidate", "Low-mass X-ray binary (candidate)", CLASSES[1]),
        ("Candidate_LMXB", "Low-mass X-ray binary (candidate)", CLASSES[1]),
        ("Q?", "Quasar (candidate)", "Active galaxy"),
        ("Y*?", "Young stellar object (candidate)", "Star"),
        ("ClG", "Cluster of galaxies", "Galaxy"),
        ("SNRemnant", "Supernova remnant", "Interstellar matter"),
        ("X", "X-ray source", "Unidentified"),
    ],
)
def test_all_that_simbad_calls_a_type_is_known(text, name, kind):
    assert NAMES[text] == (name, kind)


@given(
    st.lists(
        st.tuples(st.sampled_from(TEXTS), st.floats(0, 20), st.booleans()), min_size=1, max_size=60
    )
)
def test_samples_are_counted_one_by_one(sources):
    types = pd.Series([text or None for text, _, _ in sources], dtype="string")
    distance = np.array([d if text else math.nan for text, d, _ in sources])
    chosen = np.array([some for *_, some in sources])
    own = named_types(types, NAMES)
    found = describe_types({"EXOD": own, "some": own[chosen]}, distance)
    known = {text: NAMES.get(text.strip(), (text, UNKNOWN)) for text in TEXTS if text}
    for sample, rows in (("EXOD", sources), ("some", [s for s in sources if s[2]])):
        typed = [known[text] for text, *_ in rows if text]
        assert found.samples.loc[sample].tolist() == [len(rows), len(typed)]
        for kind in found.classes.index:
            assert found.classes.loc[kind, sample] == sum(own[1] == kind for own in typed)
        for name in found.types.index:
            assert found.types.loc[name, sample] == sum(own[0] == name for own in typed)
    assert found.types["EXOD"].is_monotonic_decreasing
    rows = found.separations.set_index(["kind", "name"])
    for place, kind in ((1, "class"), (0, "type")):
        groups = {}
        for text, d, _ in sources:
            if text:
                groups.setdefault(known[text][place], []).append(d)
        expected = {n: v for n, v in groups.items() if kind == "class" or len(v) >= FEW}
        assert set(found.separations["name"][found.separations["kind"] == kind]) == set(expected)
        for name, values in expected.items():
            row = rows.loc[(kind, name)]
            assert row["n"] == len(values)
            assert row["mean"] == pytest.approx(sum(values) / len(values))
            assert row["p50"] == pytest.approx(np.median(values))
        few = sum(len(values) < FEW for values in groups.values())
    assert found.few == few
