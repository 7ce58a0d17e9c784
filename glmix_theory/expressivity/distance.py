"""Distance: the hops that separate the farthest pair of tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import sympy

from glmix_theory.complexity.quantity import Quantity, Value, counted_range
from glmix_theory.mixers import Mixer
from glmix_theory.notation import k, n
from glmix_theory.patterns import Offsets
from glmix_theory.progress import track

_COUNTED_TO = 128
_BLOCK_COLUMNS = 1024
UNREACHED = np.int32(2**30)


def distance(mixer: Mixer) -> Quantity:
    """Largest over ``s < t < n`` of the least hops from ``s`` to ``t``; ``oo`` if a pair is unreachable.

    A hop is an edge of ``x_s → y_u → … → y_t`` (``→ z_t`` with a readout) that joins two different
    tokens; with a single token there is no pair and the distance is 0. Closed forms come from the
    rules in :func:`closed_form`; all else is counted exactly.

    >>> import glmix_theory as glm
    >>> q = distance(glm.Mixer(recurrent=glm.Offsets(2**glm.k)))
    >>> q.expr, q.status, q.at(8), q.at(7)
    (floor(log(n)/log(2)), 'proved', 3, 2)
    >>> distance(glm.Mixer(direct=glm.Window(4))).at(9)
    oo
    """
    rule = closed_form(mixer)
    if rule is not None:
        return Quantity("distance", rule.evaluate, rule.expr, rule.theta, rule.status, rule.evidence, "hops")
    profile = distance_by_length(mixer, _COUNTED_TO)
    return Quantity(
        "distance",
        lambda length: _count(mixer, length),
        status="checked",
        evidence=("least hops counted between all pairs", counted_range([_value(x) for x in profile])),
        unit="hops",
    )


@dataclass(frozen=True)
class ClosedForm:
    """A distance derived for every ``n``: its evaluation, formula, Θ class and grounds."""

    evaluate: Callable[[int], Value]
    expr: sympy.Expr | None
    theta: sympy.Expr | None
    status: str
    evidence: tuple[str, ...]


def closed_form(mixer: Mixer) -> ClosedForm | None:
    """The distance of a mixer for which a theorem gives it at every ``n``, or ``None``."""
    if mixer.readout is not None:
        return None
    direct, recurrent = mixer.direct.lag_set, mixer.recurrent.lag_set
    if direct is None or recurrent is None:
        return None
    if direct.all_from is not None and direct.all_from <= 1:
        return _one_hop("every earlier input is read directly")
    if 0 not in direct or direct.count(1 << 16) > 1:
        return _unreachable(mixer) if recurrent.largest == -1 else None
    if recurrent.all_from is not None and recurrent.all_from <= 1:
        return _one_hop("the diagonal is free and every earlier output is read")
    if recurrent.largest == -1:
        return _unreachable(mixer)
    if isinstance(recurrent.largest, int) and recurrent.count(recurrent.largest) == recurrent.largest:
        order = recurrent.largest
        if 0 not in recurrent:
            return ClosedForm(
                lambda length: -(-(length - 1) // order),
                sympy.ceiling((n - 1) / order),
                n,
                "proved",
                (f"lags 1 … {order}: a lag l needs ⌈l/{order}⌉ hops, and the largest lag below n is n - 1",),
            )
    return _number_theory(mixer)


def _one_hop(reason: str) -> ClosedForm:
    return ClosedForm(
        lambda length: min(length - 1, 1),
        sympy.Min(n - 1, 1),
        sympy.Integer(1),
        "proved",
        (f"{reason}: one hop joins any pair, and n = 1 has no pair",),
    )


def _unreachable(mixer: Mixer) -> ClosedForm | None:
    """No recurrence: a lag is reached by one direct edge or not at all."""
    direct = mixer.direct.lag_set
    assert direct is not None
    if direct.largest is None or mixer.readout is not None:
        return None
    members = direct.up_to(1 << 16)
    present = members[members > 0]
    missing = 1
    for lag in present.tolist():
        if lag != missing:
            break
        missing += 1
    if missing > 1 << 15:
        return None
    expr = sympy.Piecewise((sympy.Min(n - 1, 1), n <= missing), (sympy.oo, True))
    return ClosedForm(
        lambda length: min(length - 1, 1) if length <= missing else sympy.oo,
        expr,
        sympy.oo,
        "proved",
        (f"no recurrence and no direct lag {missing}: the pair (s, s + {missing}) is unreachable once n > {missing}",),
    )


def _number_theory(mixer: Mixer) -> ClosedForm | None:
    """``2^k`` (binary digits), ``k²+1`` (four squares) and ``k(k+1)/2+1`` (three triangular numbers)."""
    pattern = mixer.recurrent
    if not isinstance(pattern, Offsets) or pattern.function.expr is None:
        return None
    f = pattern.function.expr
    if sympy.simplify(f - 2**k) == 0:
        return ClosedForm(
            lambda length: length.bit_length() - 1,
            sympy.floor(sympy.log(n) / sympy.log(2)),
            sympy.log(n),
            "proved",
            (
                "a lag l is a sum of powers of two; two equal ones merge into one larger, so the fewest is the "
                "number of ones in binary, popcount(l)",
                "the largest popcount of 1 … n-1 is reached at 2^m - 1 ≤ n - 1 with the largest m: m = ⌊log2 n⌋",
            ),
        )
    if sympy.expand(f - k**2 - 1) == 0:
        most = 4
        citation = "Lagrange 1770: every natural number is a sum of four squares; l - 4 = Σ a_i² for l ≥ 4"
    elif sympy.expand(f - k * (k + 1) / 2 - 1) == 0:
        most = 3
        citation = "Gauss 1796: every natural number is a sum of three triangular numbers; so is l - 3 for l ≥ 3"
    else:
        return None
    profile = lag_hops(mixer, 512)
    first = [int(np.argmax(profile >= hops)) for hops in range(1, most + 1)]
    # once a lag needs `most` hops the theorem makes the maximum constant, so these lengths are all its steps
    steps = [(hops, n <= lag) for hops, lag in enumerate(first)]
    expr = sympy.Piecewise(*steps, (most, True))
    return ClosedForm(
        lambda length: sum(lag < length for lag in first),
        expr,
        sympy.Integer(1),
        "cited",
        (
            citation,
            f"so no lag needs more than {most} hops (lags below {most} are sums of that many ones)",
            f"enumerated: lags {', '.join(map(str, first))} are the first to need 1 … {most} hops",
        ),
    )


def lag_hops(mixer: Mixer, length: int) -> np.ndarray:
    """Least hops for each lag ``0 … length-1`` of a translation-invariant mixer; ``UNREACHED`` if none.

    Breadth-first over lags: all sums of one direct lag (0 is free), any recurrent lags and one
    readout lag (0 is free).
    """
    direct, recurrent = mixer.direct.lag_set, mixer.recurrent.lag_set
    assert direct is not None and recurrent is not None
    hops = np.full(length, UNREACHED, dtype=np.int32)
    members = direct.up_to(length - 1)
    hops[members] = 1
    if 0 in direct:
        hops[0] = 0
    steps = recurrent.up_to(length - 1)
    level = 0
    while (reached := hops == level).any() or level == 0:
        frontier = np.flatnonzero(reached)
        level += 1
        for lag in steps:
            targets = frontier[: np.searchsorted(frontier, length - lag)] + lag
            targets = targets[hops[targets] > level]
            hops[targets] = level
        if level > length:
            break
    if mixer.readout is None:
        return hops
    lags = mixer.readout.lag_set
    assert lags is not None
    result = np.full(length, UNREACHED, dtype=np.int32)
    for lag in lags.up_to(length - 1):
        result[lag:] = np.minimum(result[lag:], hops[: length - lag] + (lag > 0))
    return result


def all_pairs_hops(mixer: Mixer, length: int, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Least hops from each ``s`` in ``[start, stop)`` to each ``t < length``: int32 array ``(length, stop - start)``.

    ``UNREACHED`` where there is no path. One pass over the steps in order.
    """
    stop = length if stop is None else stop
    width = stop - start
    parts = {part: pattern.rows(0, length) for part, pattern in mixer.parts.items()}
    direct_ptr, direct = parts.get("direct", _no_rows(length))
    recurrent_ptr, recurrent = parts.get("recurrent", _no_rows(length))
    hops = np.full((length, width), UNREACHED, dtype=np.int32)
    for t in range(start, length):
        sources = direct[direct_ptr[t] : direct_ptr[t + 1]]
        sources = sources[(sources >= start) & (sources < stop)]
        hops[t, sources - start] = sources != t
        past = recurrent[recurrent_ptr[t] : recurrent_ptr[t + 1]]
        past = past[past >= start]
        if len(past):
            np.minimum(hops[t], hops[past].min(axis=0) + 1, out=hops[t])
    if "readout" not in parts:
        return np.minimum(hops, UNREACHED)
    readout_ptr, readout = parts["readout"]
    result = np.full_like(hops, UNREACHED)
    for t in range(start, length):
        reads = readout[readout_ptr[t] : readout_ptr[t + 1]]
        reads = reads[reads >= start]
        if len(reads):
            np.min(hops[reads] + (reads != t)[:, None], axis=0, out=result[t])
    return np.minimum(result, UNREACHED)


def distance_by_length(mixer: Mixer, length: int) -> np.ndarray:
    """The distance at every ``n = 1 … length``, int32, ``UNREACHED`` for ``oo``."""
    if all(part.lag_set is not None for part in mixer.parts.values()):
        farthest = lag_hops(mixer, length).copy()
        farthest[0] = 0
        return np.maximum.accumulate(farthest)
    farthest = np.zeros(length, dtype=np.int32)
    blocks = range(0, length, _BLOCK_COLUMNS)
    for start in track(blocks, "counting distances") if len(blocks) > 4 else blocks:
        stop = min(start + _BLOCK_COLUMNS, length)
        hops = all_pairs_hops(mixer, length, start, stop)
        below = np.arange(length)[:, None] > np.arange(start, stop)
        np.maximum(farthest, np.where(below, hops, 0).max(axis=1), out=farthest)
    return np.maximum.accumulate(farthest)


def _count(mixer: Mixer, length: int) -> Value:
    return _value(distance_by_length(mixer, length)[-1])


def _value(hops: np.int32 | int) -> Value:
    return sympy.oo if hops >= UNREACHED else int(hops)


def _no_rows(length: int) -> tuple[np.ndarray, np.ndarray]:
    return np.zeros(length + 1, dtype=np.int64), np.zeros(0, dtype=np.int64)
