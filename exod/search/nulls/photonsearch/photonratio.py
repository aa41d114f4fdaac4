"""The likelihood ratio of a burst at a place, photon by photon: compiled (docs/ideal.md).

The functions are compiled when they are first used, and the machine code is kept beside this file,
or in the cache folder of the user where that cannot be written. The slow reference is in the tests.
"""

from __future__ import annotations

import hashlib
from functools import partial
from types import CodeType, FunctionType
from typing import Any, Final, NamedTuple

import numpy as np
from numba import njit
from numba.core.dispatcher import Dispatcher

PRIOR: Final = 4.0
"""Counts that the smooth background is worth against those of the place itself."""

_NEWTON: Final = 12
_STEPS: Final = 24


class Around(NamedTuple):
    """Photons around a place in order of time, and scratch; arrays have room for more.

    Attributes
    ----------
    chosen : ndarray of int64, shape (>= n,)
        Which they are.
    weight : ndarray of float64, shape (n_spectra, >= n)
        A burst of one count over the background of the whole class of time, at each.
    time, inverse : ndarray of float64, shape (>= n,)
        Live time; and background of the class over its level then, seconds.
    piece : ndarray of int64, shape (>= n,)
        Class of time, of each group of CCDs.
    inside : ndarray of float64, shape (n_pieces,)
        Share of a burst that the group sees in the class.
    pieces, n_pieces : ndarray of int64, shape (n_pieces,) and (1,)
        Those that there are around the place, and how many.
    c, d : ndarray of float64, shape (>= n,)
        Scratch.
    """

    chosen: Any
    weight: Any
    time: Any
    inverse: Any
    piece: Any
    inside: Any
    pieces: Any
    n_pieces: Any
    c: Any
    d: Any


def _words(code: CodeType) -> str:
    """What code does, wherever it stands."""
    inside = (_words(one) if isinstance(one, CodeType) else repr(one) for one in code.co_consts)
    return " ".join((code.co_code.hex(), *code.co_names, *inside))


def _digest(function: FunctionType) -> str:
    """Another word if a function does something else, or a compiled one or a number it names."""
    parts = [_words(function.__code__)]
    for name in function.__code__.co_names:
        one = function.__globals__.get(name)
        if isinstance(one, Dispatcher):
            # Its name has its own digest.
            parts.append(one.py_func.__qualname__)
        elif isinstance(one, int | float | tuple):
            parts.append(repr(one))
    return hashlib.sha256(" ".join(parts).encode()).hexdigest()[:16]


def jit(function: Any) -> Any:
    """Compile a function, and keep the machine code where there is a place for it.

    numba keeps it by the name and the file of the function, and would call the machine code of
    functions of other files as it was: so the name has a digest of these.
    """
    function.__qualname__ += f"-{_digest(function)}"
    compiled = partial(njit, nogil=True, fastmath=True, error_model="numpy")
    try:
        return compiled(cache=True)(function)
    except RuntimeError:  # neither this folder nor that of the user can be written
        return compiled()(function)


@jit
def slope_at(a: float, c: Any, n: int, d: Any, m: int, p: float) -> tuple[float, float]:
    """First and second derivative of what `best_amplitude` makes as large as it can."""
    share = p / (1.0 + a * p)
    first, second = -PRIOR * share, PRIOR * share * share
    for i in range(n):
        share = c[i] / (1.0 + a * c[i])
        first += share
        second -= share * share
    for i in range(m):
        share = d[i] / (1.0 + a * d[i])
        first -= share
        second += share * share
    return first, second


@jit
def sum_of_logarithms(a: float, c: Any, n: int) -> float:
    """Sum of ln(1 + a c)."""
    value, product = 0.0, 1.0
    for i in range(n):
        product *= 1.0 + a * c[i]
        if i % 16 == 15:
            value += np.log(product)
            product = 1.0
    return value + np.log(product)


@jit
def best_amplitude(c: Any, n: int, d: Any, m: int, p: float) -> tuple[float, float]:
    """Largest ``sum ln(1 + A c) - sum ln(1 + A d) - PRIOR ln(1 + A p)`` over A > 0, and A.

    Parameters
    ----------
    c : ndarray of float64, shape (>= n,)
        A burst of one count over the background, of each photon in the window, in its moment.
    d : ndarray of float64, shape (>= m,)
        The same of all photons around, over all times.
    n, m : int
        How many.
    p : float
        The same of the counts that the smooth background is worth.
    """
    first, second = slope_at(0.0, c, n, d, m, p)
    if first <= 0.0:
        return 0.0, 0.0
    low, a = 0.0, max(0.7 * n, 0.5)
    high = 1e9
    for _ in range(_NEWTON):
        first, second = slope_at(a, c, n, d, m, p)
        if first > 0.0:
            low = a
        else:
            high = a
        # In the logarithm of the counts, in which the likelihood is nearly a parabola.
        bend = a * a * second + a * first
        new = a * np.exp(min(max(-a * first / bend, -1.5), 1.5)) if bend < 0.0 else 2.0 * a
        if new <= low or new >= high:
            new = 0.5 * (low + high) if high < 1e9 else 2.0 * a
        near = abs(new - a) < 1e-2 * a
        a = new
        if near:
            break
    value = sum_of_logarithms(a, c, n) - sum_of_logarithms(a, d, m) - PRIOR * np.log(1.0 + a * p)
    return value, a


@jit
def likelihood(
    around: Around,
    s: int,
    n: int,
    first: int,
    last: int,
    begin: float,
    length: float,
    decay: float,
    share: float,
    expected: float,
    enclosed: float,
) -> tuple[float, float]:
    """Log-likelihood ratio of the best burst in a window of a place, and its counts.

    Parameters
    ----------
    around : Around
        The photons around the place, with what `shares_inside` says of the window.
    s : int
        Which spectrum.
    n, first, last : int
        Photons, and those of the window.
    begin, length : float
        The window, live seconds.
    decay : float
        Time in which a decaying burst falls by e; 0 for a constant one.
    share : float
        Share of all background photons that fall in the window.
    expected : float
        Background counts that are weighed together for the place.
    enclosed : float
        Share of a burst within reach of its place.

    Notes
    -----
    Where and with what energy photons came is given. With a burst of A counts the density of times
    of a photon is ``(level + A w rate) / (1 + A w h)``, w its weight and h the share of the burst
    in its class; without one it is the level. Where more photons came outside the window than the
    images of the background say, all of the background is higher.
    """
    c, d, weight = around.c, around.d, around.weight[s]
    time, inverse, inside, piece = around.time, around.inverse, around.inside, around.piece
    outside = 0.0
    for i in range(n):
        d[i] = weight[i] * inside[piece[i]]
        if i < first or i >= last:
            outside += d[i]
    brighter = max(1.0, outside / (max(1.0 - share, 0.1) * enclosed))
    # What is known of the place from its own photons is as much as there are.
    keep = expected / (expected * brighter + PRIOR)
    for i in range(n):
        d[i] *= keep
    constant, scale = 1.0 / (length * brighter), 0.0
    if decay > 0.0:
        scale = 1.0 / (decay * (1.0 - np.exp(-length / decay)) * brighter)
    for i in range(first, last):
        rate = constant if decay == 0.0 else scale * np.exp(-(time[i] - begin) / decay)
        c[i - first] = weight[i] * inverse[i] * rate
    return best_amplitude(c, last - first, d, n, enclosed / (expected * brighter + PRIOR))


@jit
def shares_inside(table: Any, begin: float, length: float, decay: float, around: Around) -> float:
    """Share of a burst that each group of CCDs sees in each class of time.

    Rows of `table` are, up to each whole second, the share of all background photons, the seconds
    of everything, and those of each piece. Returns the share of all background photons that come
    in the window. A decay is taken in steps in which its rate is constant.
    """
    pieces, inside = around.pieces, around.inside
    for number in range(around.n_pieces[0]):
        inside[pieces[number]] = 0.0
    if decay == 0.0:
        return add_shares(table, begin, begin + length, 1.0, around)
    portion, step = 0.0, length / _STEPS
    first, ratio = 1.0, np.exp(-step / decay)
    for k in range(_STEPS):
        weight = first * (1.0 - ratio) / (1.0 - np.exp(-length / decay))
        portion += add_shares(table, begin + k * step, begin + (k + 1) * step, weight, around)
        first *= ratio
    return min(portion, 1.0)


@jit
def add_shares(table: Any, begin: float, end: float, weight: float, around: Around) -> float:
    """Add what groups see of a constant rate of some weight; the share of the background then."""
    last = table.shape[1] - 1
    a, b = min(max(begin, 0.0), last), min(max(end, 0.0), last)
    i, j = min(int(a), last - 1), min(int(b), last - 1)
    low, high = a - i, b - j
    share = table[0, j] + high * (table[0, j + 1] - table[0, j])
    share -= table[0, i] + low * (table[0, i + 1] - table[0, i])
    total = table[1, j] + high * (table[1, j + 1] - table[1, j])
    total -= table[1, i] + low * (table[1, i + 1] - table[1, i])
    pieces, inside = around.pieces, around.inside
    for number in range(around.n_pieces[0]):
        piece = pieces[number]
        row = table[piece + 2]
        own = row[j] + high * (row[j + 1] - row[j]) - row[i] - low * (row[i + 1] - row[i])
        inside[piece] += weight * own / total if total > 0 else 0.0
    return min(max(share, 0.0), 1.0)
