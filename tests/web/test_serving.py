"""A server starts, says where, and says in a sentence why it cannot."""

from __future__ import annotations

import signal
import socket
import subprocess
from collections.abc import Callable

import pytest
from helpers.processes import EXOD, start_interruptible

from exod.archive import Archive
from exod.errors import ConfigError
from exod.web.serving import bound


def test_a_port_that_is_taken_is_a_sentence(
    command: Callable[..., tuple[int, str, str]], explored: Archive, monkeypatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        # It is said before anything is prepared.
        monkeypatch.setattr("exod.stages.explore.making.make_explorer", None)
        code, _, said = command("explore", explored.root, "--port", port)
    assert code == 2
    assert f"port {port}: another program has it; give another --port" in " ".join(said.split())


@pytest.mark.parametrize("host", ["no such host", "192.0.2.1"])
def test_a_host_that_is_not_this_machine_is_a_sentence(host: str) -> None:
    with pytest.raises(ConfigError, match="cannot listen"):
        bound(host, 0)


def test_no_part_of_an_answer_waits_for_another_one() -> None:
    with (
        bound("127.0.0.1", 0) as listening,
        socket.create_connection(listening.getsockname()),
        listening.accept()[0] as answering,
    ):
        assert answering.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_it_says_where_it_is_and_ends_when_interrupted(explored: Archive) -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = start_interruptible([EXOD, "explore", explored.root, "--port", 0], **pipes)
    try:
        said = ""
        while "http://" not in said:
            line = process.stdout.readline()
            assert line, said
            said += line
        address = said.split("http://")[1].split("/")[0]
        host, port = address.split(":")
        with socket.create_connection((host, int(port))) as asking:
            asking.sendall(f"GET /api/v1/meta HTTP/1.0\r\nHost: {address}\r\n\r\n".encode())
            assert asking.makefile("rb").readline().split()[1] == b"200"
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
        assert (process.returncode, errors) == (0, "")
    finally:
        process.kill()
