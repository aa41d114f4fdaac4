"""What keeps readers with special needs from a page, by axe, in the light and in the dark."""

from __future__ import annotations

from axe_playwright_python.base import AXE_SCRIPT

RULES = {
    "light": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    "dark": ["color-contrast"],
}
"""What axe looks at; in the dark only colours differ."""

_RUN = """async (kinds) => {
  // Rows of a table are made alike: the first ones stand for all.
  const where = { include: [["html"]], exclude: [["tbody tr:nth-child(n+9)"]] };
  const { violations } = await axe.run(where, { resultTypes: ["violations"], runOnly: kinds });
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => [id, html.slice(0, 200)]));
}"""


def barriers(page) -> list[str]:
    """Every violation on a page as it is shown now, without loading it again."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found = []
    for scheme, kinds in RULES.items():
        page.emulate_media(color_scheme=scheme)
        found += [
            f"{scheme}: {rule}: {html}"
            for rule, html in page.evaluate(_RUN, kinds)
            # The plot above small handles does the same: an equivalent, as WCAG 2.5.8 has it.
            if not (rule == "target-size" and html.startswith('<input type="range"'))
        ]
    return found
