"""What pages look like: the same at both sites and after a reload, and marks where they belong.

There are no pictures to compare with: another machine has other fonts and another Chromium, and a
tolerance that forgives them forgives what matters, too. What one browser draws twice is compared
pixel by pixel instead, and what is on a canvas with what should be.
"""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

VIEWS = {
    "/?table=detections&sigma=9-63": ".panels",
    "/source/0": "section[aria-label='Light curves']",
}
"""Pages, and the part of each that has the same place at both sites."""

LOOKS = (("light", 1280, 900), pytest.param("dark", 390, 800, marks=pytest.mark.drill))

INK = """canvas => {
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const found = new Set();
  for (let at = 0; at < data.length; at += 4) {
    if (data[at + 3]) found.add(data.slice(at, at + 3).join());
  }
  return [...found];
}"""
"""The colours on a canvas."""


def picture(page, part: str) -> np.ndarray:
    page.mouse.move(0, 0)
    shown = page.locator(part).screenshot(animations="disabled", scale="css")
    return np.asarray(Image.open(io.BytesIO(shown)).convert("RGB")).astype(int)


def share_that_differs(one: np.ndarray, other: np.ndarray) -> float:
    """The share of pixels that differ by more than what smoothing of edges does."""
    if one.shape != other.shape:
        return 1.0
    return float((np.abs(one - other).max(axis=2) > 40).mean())


@pytest.fixture
def looked(visitors):
    """Both readers, with the width and colours of usual after the test."""
    both = [visitors(mode) for mode in ("server", "static")]
    yield both
    for one in both:
        one.page.set_viewport_size({"width": 1280, "height": 900})
        one.page.emulate_media(color_scheme="light")
        assert one.problems == []


@pytest.mark.parametrize(("scheme", "width", "height"), LOOKS)
def test_pages_look_the_same_at_both_sites_and_after_a_reload_and_fit(
    looked, scheme: str, width: int, height: int
) -> None:
    for view, part in VIEWS.items():
        shown = []
        for visitor in looked:
            page = visitor.page
            page.set_viewport_size({"width": width, "height": height})
            page.emulate_media(color_scheme=scheme)
            visitor.visit(view)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, view
            shown.append(picture(page, part))
        assert share_that_differs(*shown) < 0.002, view
        assert len(np.unique(shown[0].reshape(-1, 3), axis=0)) > 5, view
    page.reload()
    visitor.wait()
    assert share_that_differs(shown[1], picture(page, part)) < 0.002


@pytest.mark.parametrize("scheme", ["light", pytest.param("dark", marks=pytest.mark.drill)])
def test_counts_are_seen_on_either_background(
    looked, frames: dict[str, pd.DataFrame], scheme: str
) -> None:
    page = looked[1].page
    page.emulate_media(color_scheme=scheme)
    looked[1].visit("/?table=detections&x=hr&y=kind")
    ink = page.locator("canvas.sky").evaluate(INK)
    colours = np.array([[int(part) for part in text.split(",")] for text in ink])
    back = np.array([0x1D, 0x23, 0x2A] if scheme == "dark" else [0xF5, 0xF6, 0xF8])
    strongest = max(contrast(colour, back) for colour in colours)
    assert strongest > 7
    most = frames["detections"]["i.hp6"].value_counts().max()
    assert page.locator(".shadekey").first.inner_text().split() == ["1", str(most)]
    # Of each count that occurs there is a colour, and none of them is lost in the background.
    ramp = page.evaluate(
        """async ([base, counts]) => {
          const { shades } = await import(`${base}static/js/shades.js`);
          const shade = shades(Math.max(...counts));
          return counts.map((count) => shade(count).match(/\\d+/g).map(Number));
        }""",
        [looked[1].base, [1, 2, 5, 40, 700]],
    )
    contrasts = [contrast(np.array(colour), back) for colour in ramp]
    assert contrasts == sorted(contrasts)
    assert contrasts[0] >= 3


def contrast(one: np.ndarray, other: np.ndarray) -> float:
    """The ratio of luminances, as WCAG 2 defines it."""

    def luminance(colour: np.ndarray) -> float:
        part = colour / 255
        linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722]) + 0.05

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return high / low
