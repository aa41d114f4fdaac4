"""Mutants: copies of an observation that are damaged by chance, the same for the same seed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from fuzz import byte_damage, card_damage, file_damage, table_damage
from fuzz.bases import Base, packed
from fuzz.file_damage import Special

Damage = Callable[[np.random.Generator, bytes], bytes]

_PACKED_SHARE = 0.25
_TWICE_SHARE = 0.15
_SOURCE_LIST_SHARE = 0.2

OF_CONTENT: dict[str, tuple[int, Damage]] = {
    **byte_damage.DAMAGES,
    **card_damage.DAMAGES,
    **table_damage.DAMAGES,
}
"""What is done to the content of a file, with how often it is chosen."""

OF_FILES = file_damage.DAMAGES
"""What is done to the files of an observation."""


@dataclass
class Mutant:
    """A damaged observation.

    Attributes
    ----------
    seed, number : int
        What it is made of again.
    base : int
        Place of the sound observation among all.
    files : dict of str to bytes or Special
        What is to be in its folder.
    done : list of str
        The damage, by name; the file it was done to.
    """

    seed: int
    number: int
    base: int
    files: dict[str, bytes | Special]
    done: list[str] = field(default_factory=list)

    @property
    def kind(self) -> str:
        """The first damage."""
        return self.done[0].partition(" of ")[0]

    def write(self, folder: Path) -> None:
        """Put the files into a folder, which is made."""
        folder.mkdir(parents=True)
        for name, content in self.files.items():
            if isinstance(content, bytes):
                (folder / name).write_bytes(content)
            elif content.kind == "pipe":
                os.mkfifo(folder / name)
            elif content.kind == "folder":
                (folder / name).mkdir()
            else:
                (folder / name).symlink_to(content.target)


def make(bases: list[Base], seed: int, number: int) -> Mutant:
    """The mutant of a number.

    Parameters
    ----------
    bases : list of Base
        Sound observations.
    seed, number : int
        Equal ones give equal mutants.
    """
    generator = np.random.default_rng([seed, number])
    place = int(generator.integers(len(bases)))
    base = bases[place]
    mutant = Mutant(seed, number, place, dict(base.files))
    target = base.source_list
    if generator.random() > _SOURCE_LIST_SHARE:
        target = base.event_lists[int(generator.integers(len(base.event_lists)))]
    names = list(OF_CONTENT) + list(OF_FILES)
    weights = np.array([weight for weight, _ in (*OF_CONTENT.values(), *OF_FILES.values())], float)
    n = 1 + (generator.random() < _TWICE_SHARE)
    for name in generator.choice(names, n, p=weights / weights.sum()):
        _damage(mutant, generator, str(name), target, base)
    return mutant


def _damage(
    mutant: Mutant, generator: np.random.Generator, name: str, target: str, base: Base
) -> None:
    content = mutant.files.get(target)
    if not isinstance(content, bytes):
        return
    mutant.done.append(f"{name} of {target}")
    if name in OF_FILES:
        OF_FILES[name][1](generator, mutant.files, target, base)
        return
    content = OF_CONTENT[name][1](generator, content)
    mutant.files[target] = packed(content) if generator.random() < _PACKED_SHARE else content
