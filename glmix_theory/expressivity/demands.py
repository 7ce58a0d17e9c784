"""Demands: which pairs (source token, target token) a sequence has to connect at the same time."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass

from glmix_theory.errors import CausalityError, LengthError, PatternError, check_length


@dataclass(frozen=True)
class Demand:
    """Pairs ``(s, t)``, ``s ≤ t``: the content of input ``s`` has to reach the output of step ``t``.

    Parameters
    ----------
    name : str
        What the demand models.
    length : int
        Positions of the sequence, at least 1.
    pairs : iterable of (int, int)
        ``0 ≤ s ≤ t < length``; a pair may occur more than once.

    Raises
    ------
    CausalityError
        A target before its source (says which pair).
    LengthError
        A position outside the sequence.
    PatternError
        No pairs.

    Examples
    --------
    >>> Demand("first to last", 8, [(0, 7)]).pairs
    ((0, 7),)
    """

    name: str
    length: int
    pairs: tuple[tuple[int, int], ...]

    def __init__(self, name: str, length: int, pairs: Iterable[tuple[int, int]]) -> None:
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "length", check_length(length, "length"))
        object.__setattr__(self, "pairs", tuple((int(s), int(t)) for s, t in pairs))
        if not self.pairs:
            raise PatternError(f"demand {name!r} has no pairs; at least one pair (s, t) with s ≤ t is needed")
        for s, t in self.pairs:
            if s > t:
                raise CausalityError(f"demand {name!r} holds ({s}, {t}): a target may not come before its source")
            if s < 0 or t >= self.length:
                raise LengthError(f"demand {name!r} holds ({s}, {t}), outside the positions 0 … {self.length - 1}")

    def __repr__(self) -> str:
        return f"Demand({self.name!r}, {self.length}, {len(self.pairs)} pairs)"


def copy(n: int) -> Demand:
    """Copying ``n`` tokens: pairs ``(t, t + n)``, ``t < n``, in a sequence of ``2n``.

    >>> copy(2).pairs
    ((0, 2), (1, 3))
    """
    n = check_length(n)
    return Demand(f"copy {n}", 2 * n, ((t, t + n) for t in range(n)))


def random_recall(n: int, seed: int) -> Demand:
    """Associative recall in random order: a random permutation of ``n`` keys is asked for in ``n … 2n-1``.

    >>> random_recall(3, seed=0).length
    6
    """
    n = check_length(n)
    order = list(range(n))
    random.Random(seed).shuffle(order)
    return Demand(f"random recall {n}", 2 * n, ((s, n + t) for t, s in enumerate(order)))


def all_to_one(n: int) -> Demand:
    """Aggregation: every earlier token to the last one, ``n`` tokens in all (``n ≥ 2``).

    Its congestion is at least ``n - 1``: endpoints count.

    >>> all_to_one(3).pairs
    ((0, 2), (1, 2))
    """
    n = check_length(n, "n", 2)
    return Demand(f"all to one {n}", n, ((s, n - 1) for s in range(n - 1)))


def bit_reversal(n: int) -> Demand:
    """Pairs ``(t, n + reverse(t))``: the binary digits of ``t`` reversed; ``n`` a power of two.

    >>> bit_reversal(4).pairs
    ((0, 4), (1, 6), (2, 5), (3, 7))
    """
    n = check_length(n)
    digits = n.bit_length() - 1
    if n != 1 << digits:
        raise LengthError(f"n = {n} is not a power of two; the nearest ones are {1 << digits} and {2 << digits}")
    reverse = [int(f"{t:0{digits}b}"[::-1], 2) if digits else 0 for t in range(n)]
    return Demand(f"bit reversal {n}", 2 * n, ((t, n + reverse[t]) for t in range(n)))
