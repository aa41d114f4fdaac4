"""Clusters: the processes of this machine, or those of a scheduler elsewhere, and their memory."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from exod.errors import ConfigError, ExodError
from exod.scheduler.interrupts import interrupts_held
from exod.scheduler.mainscript import check_guard

if TYPE_CHECKING:
    from distributed import Client, LocalCluster

LEAST_MEMORY = 300 * 2**20
"""Bytes that a worker process needs before it has any data."""

STARTS = 3
"""How often to try to start the processes of ``local``."""

CONNECT_SECONDS = 30
"""How long to try to reach a scheduler."""

DASHBOARD_PORT = 8787
"""Where people look for a Dask dashboard."""

SETTINGS = {
    # The death of a worker is told at once: who is to blame is found out here.
    "distributed.scheduler.allowed-failures": 0,
    # The next worker in its place may die as well, or start slowly: the place is never given up.
    "distributed.deploy.lost-worker-timeout": "1000 days",
    # There are no results to write to disk, and a paused worker would not go on by itself.
    "distributed.worker.memory.target": False,
    "distributed.worker.memory.spill": False,
    "distributed.worker.memory.pause": False,
    "distributed.worker.memory.terminate": 0.95,
    # The stacks that the dashboard shows: a tree of them every second would take 300 MB.
    "distributed.worker.profile.interval": "100ms",
    "distributed.worker.profile.cycle": "60s",
    "distributed.admin.low-level-log-length": 100,
}


def default_workers(n_items: int) -> int:
    """Processes of ``local`` if nobody says how many: one a core, at most one an item."""
    return max(min(os.cpu_count() or 1, n_items), 1)


def memory_limit() -> float | None:
    """Bytes that the running task may take: what its worker may, shared by its threads.

    None outside a worker, or if it has no limit.
    """
    if "distributed.worker" not in sys.modules:
        return None
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:
        return None
    limit = worker.memory_manager.memory_limit
    return float(limit) / worker.state.nthreads if limit else None


def machine_memory() -> float:
    """Bytes of memory of this machine, or of the container that this process is in."""
    from distributed.system import MEMORY_LIMIT

    return float(MEMORY_LIMIT)


@contextmanager
def local_client(count: int, memory: float | None) -> Iterator[Client]:
    """A client of `count` processes of this machine that end with it."""
    import dask

    check_guard()
    memory = memory or machine_memory() / count
    if memory < LEAST_MEMORY:
        raise ConfigError(
            f"{count} worker processes may take {memory / 2**20:.0f} MB each, and need "
            f"{LEAST_MEMORY / 2**20:.0f} MB to begin with; use fewer --workers or more --memory."
        )
    # Some are looked at when they matter, as when a worker has died.
    with dask.config.set(SETTINGS):
        with interrupts_held(), warnings.catch_warnings():
            # Another run may take the port at the same moment.
            warnings.filterwarnings("ignore", message="Port .* is already in use")
            cluster = _start(count, int(memory))
            client = _quiet_client()(cluster, set_as_default=False)
        try:
            yield client
        except BaseException:
            _kill_workers(cluster)
            raise
        finally:
            with interrupts_held():
                client.close()
                cluster.close()


def _start(count: int, memory: int) -> LocalCluster:
    """Processes of this machine; a process may die at its start, as later."""
    from distributed import LocalCluster

    for _ in range(STARTS):
        try:
            return LocalCluster(
                n_workers=count,
                threads_per_worker=1,
                memory_limit=memory,
                host="127.0.0.1",
                dashboard_address=f"127.0.0.1:{_dashboard_port()}",
                silence_logs=logging.CRITICAL,
            )
        except (OSError, RuntimeError) as error:
            failure = error
    raise ExodError(
        f"{count} worker processes of {memory / 2**20:.0f} MB cannot be started "
        f"({str(failure).rstrip('.')}); use fewer --workers, more --memory or --scheduler sync."
    ) from failure


def _dashboard_port() -> int:
    """The usual port of the dashboard; any (0) if it is taken, as by another run."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", DASHBOARD_PORT))
        except OSError:
            return 0
    return DASHBOARD_PORT


def _kill_workers(cluster: LocalCluster) -> None:
    """End the workers now, not after their tasks; commits survive that."""
    # What they leave unsaid would be told after the cluster has ended.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    for nanny in list(cluster.workers.values()):
        nanny.auto_restart = False
        if nanny.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(nanny.pid, signal.SIGKILL)


@contextmanager
def remote_client(address: str) -> Iterator[Client]:
    """A client of the scheduler at an address."""
    try:
        client = _quiet_client()(address, timeout=f"{CONNECT_SECONDS}s", set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ExodError(
            f"The scheduler {address} cannot be reached ({error or 'it does not answer'}); "
            "is it running there?"
        ) from error
    # What there is to say when the scheduler is lost, the error says.
    logger = logging.getLogger("distributed.client")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        yield client
    finally:
        # A scheduler that is lost does not answer.
        with suppress(Exception):
            client.close()
        logger.setLevel(level)


def _quiet_client() -> type[Client]:
    """The class of clients that leave nothing behind, and say nothing when they are collected."""
    from distributed import Client

    class QuietClient(Client):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            try:
                super().__init__(*arguments, **options)
            except BaseException:
                with suppress(Exception):
                    self.close()
                # Closing does not end the thread of one that is closed after a failed start.
                self._loop_runner.stop()
                raise

        def __del__(self) -> None:
            with suppress(Exception):
                super().__del__()

    return QuietClient
