"""A browser that may ask nobody but the site, and tells of every error of a page."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from helpers.range_server import serving

from exod.archive import Archive, open_archive
from exod.archive.votes import VoteLog
from exod.stages.report.page import report_content
from exod.web.app import make_app
from exod.web.product import Product
from exod.web.publishing.site import publish
from exod.web.serving import running
from exod.web.voting.facets import voted_product

CHROMIUM = next(
    (
        path
        for path in map(Path, ("/usr/bin/chromium", "/usr/bin/chromium-headless-shell"))
        if path.exists()
    ),
    None,
)
playwright = pytest.importorskip("playwright.sync_api")

# Its loop runs in this thread while it is open: so it is closed after the tests of a file, and no
# plugin keeps it open for all others.


@pytest.fixture(scope="module")
def chromium() -> Iterator[object]:
    """The browser of this machine."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium; install it with `apt-get install chromium`")
    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with playwright.sync_playwright() as opened:
        browser = opened.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def addresses(
    explored: Archive, product: Product, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """Where the same pages are: of the server, and as files below a folder of a plain server."""
    folder = tmp_path_factory.mktemp("web")
    publish(product, folder / "below" / "site", report=report_content(explored, elsewhere=True))
    with running(make_app(explored)) as server, serving(folder) as plain:
        yield {"server": server, "static": f"{plain}below/site/"}


_VISIT = """address => {
  history.pushState(null, "", address);
  dispatchEvent(new PopStateEvent("popstate"));
}"""


@dataclass
class Visitor:
    """A reader at one of the sites.

    Attributes
    ----------
    page : playwright.sync_api.Page
        What the browser shows.
    base : str
        The address of the site.
    mode : {"server", "static"}
        Whether it has a server of exod.
    problems : list of str
        What must not be there: requests elsewhere and errors.
    """

    page: object
    base: str
    mode: str
    problems: list[str] = field(default_factory=list)

    def address(self, view: str) -> str:
        """The address of a view, as ``/source/3``."""
        return f"{self.base}{'#/' if self.mode == 'static' else ''}{view[1:]}"

    def visit(self, view: str, ready: str = "yes") -> None:
        """Show a view as a link to it does, and wait until it is complete."""
        if not self.page.url.startswith(self.base):
            self.page.goto(self.address("/about"))
            self.wait()
        self.page.evaluate(_VISIT, self.address(view))
        self.wait(ready)

    def wait(self, ready: str = "yes") -> None:
        """Wait until the view is complete."""
        self.page.wait_for_selector(f"body[data-ready={ready}]")

    def state(self) -> dict[str, str]:
        """What the address says."""
        from exod.web.selection import state_of

        return state_of(self.page.url)[1]

    @property
    def title(self) -> str:
        """The heading of the page, as "12 of 24 sources"."""
        return self.page.inner_text("h1")


def _watch(visitor: Visitor) -> None:
    page = visitor.page

    def asked(request) -> None:
        if not request.url.startswith((visitor.base, "data:", "blob:", "about:")):
            visitor.problems.append(f"asked {request.url}")

    page.on("request", asked)
    page.on("pageerror", lambda error: visitor.problems.append(f"error {error.stack or error}"))
    page.on(
        "console",
        lambda said: said.type == "error" and visitor.problems.append(f"console {said.text}"),
    )


Visitors = Callable[[str], Visitor]


@pytest.fixture(scope="module")
def visitors(chromium, addresses: dict[str, str]) -> Iterator[Visitors]:
    """A reader at each site, who stays there for all tests of a file: pages are loaded once."""
    there: dict[str, Visitor] = {}

    def visitor_of(mode: str) -> Visitor:
        if mode not in there:
            context = chromium.new_context(viewport={"width": 1280, "height": 900})
            context.set_default_timeout(60_000)
            there[mode] = Visitor(context.new_page(), addresses[mode], mode)
            _watch(there[mode])
        return there[mode]

    yield visitor_of
    for one in there.values():
        one.page.context.close()
        assert one.problems == []


@contextmanager
def _visiting(visitor: Visitor) -> Iterator[Visitor]:
    if visitor.page.url.startswith(visitor.base):
        visitor.page.evaluate("localStorage.clear()")
    yield visitor
    told, visitor.problems[:] = [*visitor.problems], []
    assert told == []


# What is the same at both sites is looked at with a server every day; what only the site of files
# does has tests of its own.
@pytest.fixture(params=["server", pytest.param("static", marks=pytest.mark.drill)])
def visitor(request: pytest.FixtureRequest, visitors: Visitors) -> Iterator[Visitor]:
    """A reader without a name, at the server and at the site of files."""
    with _visiting(visitors(request.param)) as found:
        yield found


@pytest.fixture
def other_window(chromium, addresses: dict[str, str]) -> Iterator[Visitor]:
    """Another reader at the server, who shares nothing with the first one but the archive."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    visitor = Visitor(context.new_page(), addresses["server"], "server")
    _watch(visitor)
    yield visitor
    context.close()
    assert visitor.problems == []


@pytest.fixture
def static_visitor(visitors: Visitors) -> Iterator[Visitor]:
    """A reader at the site of files."""
    with _visiting(visitors("static")) as found:
        yield found


@pytest.fixture
def voted_visitor(chromium, explored: Archive, tmp_path: Path) -> Iterator[Visitor]:
    """A reader at a site of files that was published with two votes on each of two sources."""
    copied = open_archive(str(shutil.copytree(explored.root, tmp_path / "results")))
    shutil.rmtree(tmp_path / "results" / "vetting", ignore_errors=True)
    log = VoteLog(copied.store)
    agreed, other = sorted(copied.unique.compute()["region_num"])[:2]
    for vetter, label in (("Ada", "real"), ("Bo", "artefact")):
        log.add(vetter, region_num=agreed, label="real")
        log.add(vetter, region_num=other, label=label)
    publish(voted_product(copied), tmp_path / "web" / "site")
    with serving(tmp_path / "web") as plain:
        context = chromium.new_context(viewport={"width": 1280, "height": 900})
        visitor = Visitor(context.new_page(), f"{plain}site/", "static")
        _watch(visitor)
        yield visitor
        context.close()
    assert visitor.problems == []
