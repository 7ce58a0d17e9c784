"""The cache-efficient closed form in plain integers, for any first value of ``f``; 1-based as in the theory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, pairwise


def ceiling_quotient(number: int, divisor: int) -> int:
    """``⌈number / divisor⌉``."""
    return -(-number // divisor)


def periods(f: Sequence[int], first: int = 1) -> list[int]:
    """``a_0 = first``, ``a_{k+1} = a_k ⌈(f(k+1) - f(k)) / a_k⌉``.

    >>> periods([1, 2, 5, 10, 17])
    [1, 1, 3, 6, 12]
    """
    result = [first]
    for before, after in pairwise(f):
        result.append(result[-1] * ceiling_quotient(after - before, result[-1]))
    return result


def sources(f: Sequence[int], i: int, first: int = 1) -> set[int]:
    """``S_i = { a_k ⌈(i - f(k)) / a_k⌉ : f(k) < i }``.

    >>> sorted(sources([1, 2, 4, 8], 10))
    [4, 6, 8, 9]
    """
    pairs = zip(f, periods(f, first))
    return {a * ceiling_quotient(i - value, a) for value, a in pairs if value < i}


def first_escape(f: Sequence[int], length: int, first: int = 1, newest: int = 1) -> int | None:
    """The smallest ``i ≤ length`` with ``S_i ⊄ S_{i-1} ∪ {i - newest}``, or ``None``.

    >>> first_escape([1, 2, 4, 8], 100), first_escape([2, 3, 5], 100)
    (None, 3)
    """
    before: set[int] = set()
    for i in range(1, length + 1):
        now = sources(f, i, first)
        if not now <= before | {i - newest}:
            return i
        before = now
    return None


def increasing_lists(largest: int) -> Iterator[tuple[int, ...]]:
    """Every non-empty strictly increasing list of integers in ``1 … largest``, shortest and smallest first."""
    for size in range(1, largest + 1):
        yield from combinations(range(1, largest + 1), size)
