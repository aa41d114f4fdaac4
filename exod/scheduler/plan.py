"""How tasks are run: where, by how many, with how much memory, and who is told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from exod.errors import ConfigError
from exod.scheduler.interrupts import Stop

RETRIES: Final = 2
"""How often an observation that ended in an unexpected error is tried again (ARCHITECTURE 4)."""


@dataclass(frozen=True)
class Plan:
    """How tasks are run.

    Attributes
    ----------
    scheduler : str
        ``sync`` (this process), ``local`` (processes of this machine, with a dashboard on
        localhost) or the address of a Dask scheduler, ``tcp://host:port``.
    workers : int, optional
        Processes of ``local``; by default one a core, at most one an item.
    memory : float, optional
        Bytes that a task may take, in a process of ``local`` or in this one; by default what the
        machine has, shared by the processes. Workers of another scheduler have their own limit.
    retries : int
        How often a task that raised an error is tried again, on another worker if there is one.
    on_start : callable
        Is told the link of the dashboard once there is one.
    on_note : callable
        Is told what a user should know, a sentence.
    stop : Stop
        When asked, no task begins any more, and those in flight are finished.
    """

    scheduler: str = field(default="local", repr=False)
    workers: int | None = None
    memory: float | None = None
    retries: int = 0
    on_start: Callable[[str], None] = lambda _link: None
    on_note: Callable[[str], None] = lambda _sentence: None
    stop: Stop = field(default_factory=Stop)

    def __post_init__(self) -> None:
        if self.scheduler not in {"sync", "local"} and "://" not in self.scheduler:
            # What stands before a host may be a password.
            name = self.scheduler.rpartition("@")[2]
            raise ConfigError(
                f"The scheduler {name!r} is not known; use sync, local or tcp://host:port."
            )

    def fitting(self, n_items: int) -> Plan:
        """The same, in this process if a single item is all there is to do on this machine."""
        alone = self.scheduler == "local" and n_items == 1
        return replace(self, scheduler="sync") if alone else self

    def watched(
        self, on_start: Callable[[str], None], on_note: Callable[[str], None], stop: Stop
    ) -> Plan:
        """The same, with who is told and who may end it."""
        return replace(self, on_start=on_start, on_note=on_note, stop=stop)
