"""A local server that behaves like X-Match, VizieR and SIMBAD, and misbehaves like them."""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import astropy.units as u
import numpy as np
from astropy.coordinates import SkyCoord
from astropy.io import votable
from astropy.table import Column, Table, hstack

from helpers.processes import LONGEST

HTML = (
    b"<html><head><title>503</title></head><body><h1>Service under maintenance</h1></body></html>"
)


@dataclass(frozen=True)
class Fault:
    """What goes wrong with one answer.

    `status` and `body` replace those of the answer, `change` changes its table; "mute" says
    nothing at all, "cut" sends half of it.
    """

    status: int = 200
    body: bytes | None = None
    change: Callable[[Table], Table] | None = None
    kind: str = "plain"


class FakeCds:
    """The three services; `tables` holds what they have, `faults` what goes wrong next."""

    def __init__(self) -> None:
        self.tables: dict[str, tuple[Table, str, str]] = {}
        self.faults: list[Fault] = []
        self.asked: list[tuple[str, int, float]] = []
        self.release = threading.Event()
        cds = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["Content-Length"]))
                cds.answer(self, content)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(
            target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self.thread.start()
        root = f"http://127.0.0.1:{self.server.server_port}"
        self.addresses = {
            "xmatch": f"{root}/xmatch/api/v1/sync",
            "vizier": f"{root}/viz-bin/",
            "simbad": f"{root}/simbad/sim-tap",
        }

    def close(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    @property
    def sources_asked(self) -> int:
        return sum(count for _, count, _ in self.asked)

    def answer(self, handler: BaseHTTPRequestHandler, content: bytes) -> None:
        fault = self.faults.pop(0) if self.faults else Fault()
        if fault.kind == "mute":
            self.release.wait(LONGEST)
            handler.close_connection = True
            return
        status, table = self.found(handler, content)
        if fault.change is not None and table is not None:
            table = fault.change(table)
        body = fault.body
        if body is None:
            several = table if isinstance(table, tuple) else (table,)
            body = error_votable("Unknown table") if table is None else as_votable(*several)
        handler.send_response(fault.status if fault.status != 200 else status)
        handler.send_header("Content-Type", "text/xml" if fault.body is None else "text/html")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if fault.kind == "cut":
            handler.wfile.write(body[: len(body) // 2])
            handler.close_connection = True
        else:
            handler.wfile.write(body)

    def found(self, handler: BaseHTTPRequestHandler, content: bytes) -> tuple[int, Table | None]:
        if handler.path.startswith("/viz-bin/votable"):
            return 200, self.vizier(content.decode())
        form = multipart(handler.headers["Content-Type"], content)
        if handler.path.startswith("/xmatch"):
            return self.xmatch(form)
        return 200, self.simbad(form)

    def xmatch(self, form: dict[str, bytes]) -> tuple[int, Table | None]:
        name = form["cat2"].decode()
        if name not in self.tables:
            return 400, None
        asked = Table.read(form["cat1"].decode(), format="ascii.csv")
        ra, dec = (asked[form[key].decode()] for key in ("colRA1", "colDec1"))
        radius = float(form["distMaxArcsec"])
        assert radius <= 180
        rows, near = self.around(name, np.asarray(ra), np.asarray(dec), radius)
        return 200, hstack([asked[rows], near]) if len(near) else hstack([asked[:0], near])

    def vizier(self, script: str) -> Table | None:
        name = re.search(r"^-source=(.*)$", script, re.M).group(1).strip()
        if name not in self.tables:
            return Table()
        if "-c=<<" not in script:
            self.asked.append((name, 1, 0.0))
            return self.tables[name][0]
        block = script.partition("-c=<<====AstroqueryList\n")[2].partition("\n====Astroq")[0]
        places = [re.match(r"([\d.]+)([+-][\d.]+)", line).groups() for line in block.splitlines()]
        ra, dec = np.array(places, dtype=float).T
        unit, value = re.search(r"^-c\.r([dms])=([\d.eE+-]+)$", script, re.M).groups()
        radius = float(value) * {"d": 3600, "m": 60, "s": 1}[unit]
        rows, near = self.around(name, ra, dec, radius)
        near.add_column(Column(rows + 1, name="_q"), index=0)
        return near if len(near) else Table()

    def simbad(self, form: dict[str, bytes]) -> Table:
        query = form["QUERY"].decode()
        upload = next(value for key, value in form.items() if key not in KNOWN)
        asked = votable.parse_single_table(BytesIO(upload)).to_table()
        radius = 3600 * float(re.search(r"asked\.exod_dec, ([\d.eE+-]+)\)", query).group(1))
        ra, dec = np.asarray(asked["exod_ra"]), np.asarray(asked["exod_dec"])
        rows, near = self.around("basic", ra, dec, radius)
        names = re.findall(r"(?:basic|alltypes)\.(\w+)", query.split("FROM")[0])
        joined = "LEFT JOIN alltypes ON alltypes.oidref = basic.oid" in query
        assert joined == ("alltypes.otypes" in query)
        found = near[names]
        found.add_column(Column(np.asarray(asked["exod_row"])[rows], name="exod_row"), index=0)
        return found

    def around(
        self, name: str, ra: np.ndarray, dec: np.ndarray, radius: float
    ) -> tuple[np.ndarray, Table]:
        self.asked.append((name, len(ra), radius))
        table, ra_name, dec_name = self.tables[name]
        there = SkyCoord(table[ra_name], table[dec_name], unit="deg")
        here = SkyCoord(ra, dec, unit="deg")
        # The services round what they search by, and order rows as they like.
        rows, near = [], []
        for number, place in enumerate(here):
            chosen = np.flatnonzero(place.separation(there).arcsec <= radius)[::-1]
            rows += [number] * len(chosen)
            near += list(chosen)
        return np.array(rows, dtype=int), table[np.array(near, dtype=int)]


KNOWN = {"QUERY", "LANG", "REQUEST", "UPLOAD", "MAXREC", "FORMAT", "RESPONSEFORMAT", "VERSION"}


def multipart(kind: str, content: bytes) -> dict[str, bytes]:
    message = message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + content)
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)
        for part in message.get_payload()
    }


def as_votable(table: Table, *others: Table) -> bytes:
    buffer = BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = votable.from_table(table)
        file.resources[0].type = "results"
        for other in others:
            file.resources[0].tables.extend(votable.from_table(other).resources[0].tables)
        file.resources[0].infos.append(votable.tree.Info(name="QUERY_STATUS", value="OK"))
        votable.writeto(file, buffer)
    return buffer.getvalue()


def error_votable(text: str) -> bytes:
    return (
        '<?xml version="1.0"?><VOTABLE version="1.3" '
        'xmlns="http://www.ivoa.net/xml/VOTable/v1.3"><RESOURCE type="results">'
        f'<INFO ID="QUERY_STATUS" name="QUERY_STATUS" value="ERROR">{text}</INFO>'
        "</RESOURCE></VOTABLE>"
    ).encode()


def gaia(ra: np.ndarray, dec: np.ndarray, pm: np.ndarray | None = None) -> Table:
    """Rows of Gaia DR3 as X-Match names them."""
    n = len(ra)
    motion = np.zeros((2, n)) if pm is None else pm
    return Table(
        {
            "RAdeg": np.asarray(ra) * u.deg,
            "DEdeg": np.asarray(dec) * u.deg,
            "Source": 2**62 + 1 + np.arange(n),
            "Plx": np.full(n, 1.5) * u.mas,
            "e_Plx": np.full(n, 0.1) * u.mas,
            "pmRA": motion[0] * u.mas / u.yr,
            "pmDE": motion[1] * u.mas / u.yr,
            "Gmag": np.full(n, 18.0) * u.mag,
            "BPmag": np.ma.masked_array(np.full(n, 18.5), mask=np.arange(n) % 2 == 1),
            "RPmag": np.full(n, 17.5),
            "Dist": np.full(n, 650.0) * u.pc,
            "Teff": np.full(n, 5700.0) * u.K,
            "VarFlag": np.full(n, "NOT_AVAILABLE"),
            "PQSO": np.full(n, 1e-13),
            "PGal": np.full(n, 2e-13),
        }
    )


def simbad(ra: np.ndarray, dec: np.ndarray) -> Table:
    n = len(ra)
    return Table(
        {
            "main_id": np.array([f"Object {i}" for i in range(n)]),
            "otype": np.array(["X"] * n),
            "otypes": np.array(["*|X"] * n),
            "nbref": np.arange(n, dtype=np.int32),
            "ra": np.asarray(ra),
            "dec": np.asarray(dec),
            "pmra": np.ma.masked_array(np.zeros(n), mask=np.ones(n, bool)),
            "pmdec": np.ma.masked_array(np.zeros(n), mask=np.ones(n, bool)),
        }
    )
