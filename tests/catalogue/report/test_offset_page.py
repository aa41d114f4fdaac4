"""The page about offsets: numbers, words and pictures, for few offsets, none and many."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from helpers.offsets import WORDS, offsets

from exod.astrometry.offsetstatistics import by_observation
from exod.catalogue.report.offsets import offsetnumbers
from exod.catalogue.report.offsets.offsetnumbers import drift_alerts, in_bins, offset_numbers
from exod.catalogue.report.offsets.offsetsections import offset_sections
from exod.catalogue.report.page import render
from exod.plots.offsets import offset_pictures
from exod.plots.offsets.radii import draw_radial


def page(numbers, pictures=None):
    return render("Offsets", "here", offset_sections(numbers, pictures or {}))


def test_a_step_is_an_alert_and_gone_when_corrected():
    numbers = offset_numbers(offsets(500), WORDS)
    (alert,) = numbers.alerts.to_dict("records")
    assert (alert["detector"], alert["axis"]) == ("all", "dy")
    assert alert["year"] == pytest.approx(2015.3, abs=0.5)
    assert alert["size"] == pytest.approx(0.4, abs=4 * alert["error"])
    corrected = numbers.after.offsets
    assert drift_alerts(corrected).empty
    assert (
        numbers.after.radial["all"].quantiles.loc[90, "radius"]
        < (numbers.before.radial["all"].quantiles.loc[90, "radius"])
    )


def test_each_detector_has_its_own_quantiles():
    wide = offsets(400)
    far = wide["detector"] == "ACIS-S"
    wide.loc[far, ["dy", "dz"]] *= 3
    radial = offset_numbers(wide, WORDS).before.radial
    assert list(radial) == ["all", "ACIS-I", "ACIS-S"]
    for name, found in radial.items():
        own = wide if name == "all" else wide[wide["detector"] == name]
        expected = np.percentile(np.hypot(own["dy"], own["dz"]), [68, 90, 99])
        assert found.quantiles["radius"].tolist() == pytest.approx(expected.tolist())


def test_detectors_that_differ_are_no_step():
    """ACIS-S was used later than ACIS-I, and its offset is another one; neither changed."""
    frame = offsets(300, step=0.0)
    frame["detector"] = np.where(frame["year"] > 2011, "ACIS-S", "ACIS-I")
    frame["dy"] += 0.5 * (frame["detector"] == "ACIS-S")
    assert drift_alerts(frame).empty


def test_offsets_of_one_observation_are_one_value():
    """Fifty sources share the frame of their observation; twelve frames have no step."""
    random = np.random.default_rng(1)
    frame = offsets(600, step=0.0, detectors=("EPIC",))
    number = np.arange(600) // 50
    frame["obsid"] = number.astype(str)
    frame["year"] = 2000.0 + number
    frame["dy"] += random.normal(0, 1, 12)[number]
    assert drift_alerts(frame).empty


def test_alerts_do_not_depend_on_the_order_of_offsets():
    frame = offsets(400)
    more = frame.sample(300, replace=True, random_state=1).assign(dy=lambda rows: rows["dy"] + 0.1)
    frame = pd.concat([frame, more], ignore_index=True)
    found = drift_alerts(frame)
    assert len(found)
    for seed in (1, 2):
        pd.testing.assert_frame_equal(drift_alerts(frame.sample(frac=1, random_state=seed)), found)


def test_observations_of_many_offsets_count_more():
    """The errors of medians follow from how much offsets of one observation scatter."""
    random = np.random.default_rng(2)
    count = np.repeat([1, 2, 4, 25], 50)
    number = np.repeat(np.arange(200), count)
    frame = pd.DataFrame({"obsid": number.astype(str), "detector": "EPIC", "year": 2000.0 + number})
    frame["dy"] = random.normal(0, 2.0, 200)[number] + random.normal(0, 0.5, len(number))
    medians = by_observation(frame)
    errors = offsetnumbers._median_errors(frame, medians, "dy")
    expected = 0.5 * np.array([1, np.sqrt(0.5), 1.2533 / 2, 1.2533 / 5])
    found = errors.groupby(medians["n"]).first()
    assert found.to_numpy() == pytest.approx(expected, rel=0.1)


def test_years_before_the_last_offset_are_shown_and_alerts_look_at_all():
    numbers = offset_numbers(offsets(500), WORDS, years=5)
    assert numbers.before.offsets["year"].min() >= 2016.9
    assert len(numbers.alerts) == 1


def test_offsets_without_time_or_component_are_left_out():
    frame = offsets(10)
    frame.loc[0, "dy"] = np.nan
    frame.loc[1, "year"] = np.nan
    assert len(offset_numbers(frame, WORDS).before.offsets) == 8


@pytest.mark.parametrize("n", [0, 1, 3])
def test_few_offsets_have_a_page(n):
    frame = offsets(n).drop(columns=["dy_new", "dz_new", "roll_deg"])
    numbers = offset_numbers(frame, WORDS)
    pictures = offset_pictures(numbers) if n < 2 else {}
    text = page(numbers, pictures)
    assert numbers.after is None
    assert ("There are no such offsets." in text) == (n == 0)
    assert ("Of the roll angle nothing is known." in text) == (n > 0)
    assert text.count("<img") == len(pictures)
    assert "There is no alert." in text


def test_every_picture_is_on_the_page_and_text_is_escaped():
    numbers = offset_numbers(offsets(60, detectors=("A<b>$", "B")), WORDS)
    pictures = offset_pictures(numbers)
    text = page(numbers, pictures)
    assert text.count("<img") == len(pictures)
    assert "before_history_A<b>$" in pictures
    assert "<b>" not in text
    assert 'src="http' not in text
    assert 'href="http' not in text


def test_equal_offsets_give_equal_pages():
    first, second = (page(offset_numbers(offsets(80), WORDS)) for _ in range(2))
    assert first == second
    shuffled = offsets(80).sample(frac=1, random_state=3)
    assert page(offset_numbers(shuffled, WORDS)) == first


def test_medians_in_bins():
    frame = offsets(200)
    bins = in_bins(frame["roll_deg"], frame["dy"])
    assert bins["n"].sum() <= 200
    assert (bins["low"] <= bins["median"]).all()
    assert in_bins(frame["roll_deg"] * 0, frame["dy"]).empty


def test_radial_picture_shows_the_marks():
    radial = offset_numbers(offsets(200), WORDS).before.radial["all"]
    (axes,) = draw_radial(radial, "all").axes
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    for percent, radius in radial.quantiles["radius"].items():
        assert f"{percent:g} % within {radius:.2f}″" in texts
    assert axes.get_xlim()[1] >= min(3.0, radial.quantiles["radius"].iloc[-1])
