"""How far vetters agree with each other, and with sources of which the answer is known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from exod.schemas.votes import LABELS

BELIEVED: Final = ("real", "interesting")
"""Labels of a vetter who takes a source for real."""

ANSWERS: Final = ("real", "artefact")
"""What a control may be."""


def fleiss_kappa(counts: ArrayLike) -> float:
    """Agreement beyond chance of any number of people.

    Parameters
    ----------
    counts : int array, shape (n_sources, n_labels)
        Votes for each label. Sources may have different numbers of votes; those with fewer than
        two say nothing of agreement and are left out.

    Returns
    -------
    float
        1 for perfect agreement, 0 for that of chance; NaN if no source has two votes, or all
        votes are the same label.

    Notes
    -----
    Fleiss, J. L. (1971), Psychological Bulletin 76, 378, with the share of agreeing pairs of each
    source from its own number of votes.

    Examples
    --------
    >>> fleiss_kappa([[2, 0], [0, 2]]), fleiss_kappa([[1, 1], [1, 1]])
    (1.0, -1.0)
    """
    votes = np.asarray(counts, np.float64)
    votes = votes[votes.sum(axis=-1) >= 2]
    if not len(votes):
        return float("nan")
    total = votes.sum(axis=1)
    agreeing = (votes * (votes - 1)).sum(axis=1) / (total * (total - 1))
    by_chance = float(((votes.sum(axis=0) / votes.sum()) ** 2).sum())
    if by_chance >= 1:
        return float("nan")
    return float((agreeing.mean() - by_chance) / (1 - by_chance))


def kappa_of_verdicts(found: pd.DataFrame) -> float:
    """`fleiss_kappa` of the rows that `exod.sources.vetting.verdicts.verdicts` returns."""
    return fleiss_kappa(found[[f"n_{label}" for label in LABELS]].to_numpy())


def confusion(states: pd.DataFrame, controls: Mapping[int, str]) -> pd.DataFrame:
    """How often each vetter is right about sources of which the answer is known.

    Parameters
    ----------
    states : DataFrame
        What `exod.sources.vetting.verdicts.vote_states` returns.
    controls : mapping of int to str
        The answer, real or artefact, by number of the source.

    Returns
    -------
    DataFrame
        A row a vetter with a vote on a control, sorted: ``vetter``; for each answer and label the
        number ``<answer>_as_<label>``; ``completeness``, the share of real controls taken for
        real or interesting; ``false_alarms``, the share of artefacts taken for that; NaN without
        controls of the kind. A vote of unsure is no belief. Stale votes are left out.

    Examples
    --------
    >>> states = pd.DataFrame({"vetter": ["ada", "ada"], "region_num": [1, 2],
    ...                        "label": ["real", "unsure"], "stale": [False, False]})
    >>> confusion(states, {1: "real", 2: "real"})[["vetter", "completeness"]]
      vetter  completeness
    0    ada           0.5
    """
    rows = states[states["region_num"].isin([*controls]) & ~states["stale"].astype(bool)]
    answer = rows["region_num"].map(dict(controls)).to_numpy(object)
    found = []
    for vetter in sorted(rows["vetter"].unique()):
        own = (rows["vetter"] == vetter).to_numpy(bool)
        labels = rows["label"].to_numpy(object)[own]
        row: dict[str, object] = {"vetter": vetter}
        for kind in ANSWERS:
            of_kind = labels[answer[own] == kind]
            row |= {f"{kind}_as_{label}": int((of_kind == label).sum()) for label in LABELS}
            share = float(np.isin(of_kind, BELIEVED).mean()) if len(of_kind) else float("nan")
            row["completeness" if kind == "real" else "false_alarms"] = share
        found.append(row)
    counts = [f"{kind}_as_{label}" for kind in ANSWERS for label in LABELS]
    return pd.DataFrame(found, columns=["vetter", *counts, "completeness", "false_alarms"])
