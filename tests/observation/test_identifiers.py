"""Lists of obsids as people have them."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exod.errors import ConfigError
from exod.observation.identifiers import listed_obsids
from exod.schemas.kinds import OBSID_FORM

OBSIDS = st.lists(st.from_regex(r"[0-9]{10}", fullmatch=True), min_size=1, max_size=5)
NOISE = st.sampled_from(["", "  ", "\t", "# all of them", "  # 0000000000", ",,"])


@given(OBSIDS, st.lists(NOISE, max_size=3), st.sampled_from(["{}", " {} ", '"{}"', "{}\t# why"]))
def test_one_a_line(obsids, noise, form):
    lines = [*noise, *(form.format(obsid) for obsid in obsids), *noise]
    assert listed_obsids("\n".join(lines), "list") == list(dict.fromkeys(obsids))


@given(
    OBSIDS,
    st.sampled_from(["obsid", "OBS_ID", "Observation ID", "observation-id"]),
    st.sampled_from([",", ";", "\t"]),
    st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
    st.integers(0, 2),
)
def test_the_column_of_a_table(obsids, heading, separator, quoting, place):
    """Of columns before and after it none is taken, though one has ten digits too."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=separator, quoting=quoting)
    rows = [["target", "ra"], *([f"V{n}, a star", "1234567890"] for n in range(len(obsids)))]
    for row, obsid in zip(rows, [heading, *obsids], strict=True):
        writer.writerow([*row[:place], obsid, *row[place:]])
    assert listed_obsids(text.getvalue(), "list") == list(dict.fromkeys(obsids))


def test_a_table_without_headings_and_cells_of_spreadsheets():
    assert listed_obsids("V1,0000000001\nV2,0000000002\n", "list") == ["0000000001", "0000000002"]
    assert listed_obsids('="0000000001"\n\'0000000002\n', "list") == ["0000000001", "0000000002"]


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("1730201", "lost its zeros; it is 0001730201 then"),
        ("1730201.0", "it is 0001730201 then"),
        ("1.7302E+06", "made a number of it"),
        ("12345678901", "'12345678901' is not an observation identifier"),
        ("000173020x", "'000173020x' is not an observation identifier"),
        ("../../../etc", "is not an observation identifier"),
        ("\u0661234567890", "is not an observation identifier"),
        ("V1,", "'V1' is not an observation identifier"),
    ],
)
def test_what_is_no_obsid_is_told_with_its_line(line, sentence):
    with pytest.raises(ConfigError, match=r"^list, line 3: ") as error:
        listed_obsids(f"0000000001\n# more\n{line}\n", "list")
    assert sentence in str(error.value)


def test_lists_of_several_missions():
    both = ["0001730201", "28964", "8007"]
    assert listed_obsids("\n".join(both), "list", OBSID_FORM) == both
    assert listed_obsids("target,obsid\nV1,28964\n", "list", OBSID_FORM) == ["28964"]
    # A number of a row is not taken for an obsid.
    assert listed_obsids("1,0001730201\n2,0001730301\n", "list", OBSID_FORM) == [
        "0001730201",
        "0001730301",
    ]
    for line in ("1730201", "0", "V1"):
        with pytest.raises(ConfigError, match="list, line 2"):
            listed_obsids(f"28964\n{line}\n", "list", OBSID_FORM)
