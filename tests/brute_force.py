"""Every pattern family a second time, from its definition, in sets of Python integers.

A :class:`Reference` answers "which positions does step ``t`` read" and calls none of the code under
test. Tests compare the package against these; they are slow and meant to be read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import numpy as np

Positions = frozenset[int]


class Reference:
    """A pattern as a function from a step to the set of positions it reads; values are remembered."""

    def __init__(self, sources: Callable[[int], Iterable[int]]) -> None:
        self._sources = sources
        self._known: dict[int, Positions] = {}

    def __call__(self, t: int) -> Positions:
        if t not in self._known:
            self._known[t] = frozenset(self._sources(t))
        return self._known[t]

    def matrix(self, length: int) -> np.ndarray:
        """Boolean ``(length, length)``: row ``t``, column ``s``."""
        matrix = np.zeros((length, length), dtype=bool)
        for t in range(length):
            matrix[t, sorted(self(t))] = True
        return matrix

    def readers_after(self, s: int, start: int, stop: int) -> list[int]:
        """Steps in ``[start, stop)`` that read ``s``."""
        return [t for t in range(start, stop) if s in self(t)]


def membership(belongs: Callable[[int, int], bool]) -> Reference:
    """The pattern of a predicate ``belongs(t, s)``, asked for every ``0 ≤ s ≤ t``."""
    return Reference(lambda t: [s for s in range(t + 1) if belongs(t, s)])


# --- families -------------------------------------------------------------------------------------


def empty() -> Reference:
    return membership(lambda t, s: False)


def diagonal() -> Reference:
    return membership(lambda t, s: t == s)


def dense() -> Reference:
    return membership(lambda t, s: True)


def lags(members: Iterable[int]) -> Reference:
    allowed = set(members)
    return membership(lambda t, s: t - s in allowed)


def window(w: int) -> Reference:
    return membership(lambda t, s: t - w < s)


def strided(stride: int) -> Reference:
    return membership(lambda t, s: (t - s) % stride == 0)


def blocks(b: int) -> Reference:
    return membership(lambda t, s: t // b == s // b)


def global_tokens(g: int) -> Reference:
    return membership(lambda t, s: s < g)


def offset_values(f: Callable[[int], int] | Sequence[int], limit: int) -> list[int]:
    """``f(0), f(1), …`` up to ``limit``, one after the other."""
    if isinstance(f, Sequence):
        return [value for value in f if value <= limit]
    values: list[int] = []
    while (value := f(len(values))) <= limit:
        values.append(value)
    return values


def offsets(f: Callable[[int], int] | Sequence[int]) -> Reference:
    return Reference(lambda t: [t - value for value in offset_values(f, t)])


def delayed(f: Callable[[int], int] | Sequence[int]) -> Reference:
    """One row a step: walk along ``t`` and let the lag grow by one whenever a value of ``f`` is reached."""
    steps = [0]  # the lag at step t

    def simulate(t: int) -> list[int]:
        while len(steps) <= t:
            reached = len(steps) in offset_values(f, len(steps))
            steps.append(steps[-1] + reached)
        return [t - steps[t]] if steps[t] else []

    return Reference(simulate)


def cache_efficient(f: Callable[[int], int] | Sequence[int]) -> Reference:
    """Slots that hand rows on, without the closed form.

    Slot 0 holds the newest row. Slot ``k + 1`` keeps its row until the row would be farther back than
    ``f(k + 1)``; then it takes over what slot ``k`` held one step before. It comes into being, the same
    way, at the first step at which ``f(k + 1)`` positions lie behind.
    """
    history: list[list[int]] = [[]]  # what the slots hold at step t: 0-based positions

    def simulate(t: int) -> Positions:
        while len(history) <= t:
            step = len(history)
            before = history[-1]
            now = [step - 1]
            for index, limit in enumerate(offset_values(f, step)[1:], start=1):
                held = before[index] if index < len(before) else None
                now.append(held if held is not None and step - held <= limit else before[index - 1])
            history.append(now)
        return frozenset(history[t])

    return Reference(simulate)


def _last_set_bit(i: int) -> int:
    bit = 1
    while i % (2 * bit) == 0:
        bit *= 2
    return bit


def fenwick() -> Reference:
    """Node ``j`` (1-based) sums the ``lowbit(j)`` positions up to ``j``; its parent is ``j + lowbit(j)``."""
    return membership(lambda t, s: s + 1 + _last_set_bit(s + 1) == t + 1)


def fenwick_prefix() -> Reference:
    """The nodes whose intervals tile ``1 … i``: add the powers of two of ``i`` from the largest down."""

    def path(t: int) -> list[int]:
        i, total, nodes = t + 1, 0, []
        for exponent in reversed(range(i.bit_length())):
            if i // 2**exponent % 2:
                total += 2**exponent
                nodes.append(total - 1)
        return nodes

    return Reference(path)


def explicit(edges: Iterable[tuple[int, int]]) -> Reference:
    pairs = set(edges)
    return Reference(lambda t: [s for target, s in pairs if target == t])


# --- operations -----------------------------------------------------------------------------------


def union(p: Reference, q: Reference) -> Reference:
    return Reference(lambda t: p(t) | q(t))


def intersection(p: Reference, q: Reference) -> Reference:
    return Reference(lambda t: p(t) & q(t))


def difference(p: Reference, q: Reference) -> Reference:
    return Reference(lambda t: p(t) - q(t))


def composition(p: Reference, q: Reference) -> Reference:
    return Reference(lambda t: [s for u in p(t) for s in q(u)])


def strict(p: Reference) -> Reference:
    return Reference(lambda t: p(t) - {t})


def shift(p: Reference, m: int) -> Reference:
    return Reference(lambda t: p(t - m) if t >= m else ())


def blocked(p: Reference, b: int) -> Reference:
    return Reference(lambda t: [s for block in p(t // b) for s in range(block * b, block * b + b) if s <= t])


# --- lifetimes ------------------------------------------------------------------------------------


def read_later(p: Reference, width: int, start: int, stop: int) -> np.ndarray:
    """Whether each ``s < width`` is read in ``[start, stop)``."""
    found = set().union(*(p(t) for t in range(start, stop)))
    return np.array([s in found for s in range(width)], dtype=bool)


def live_sets(parts: dict[str, list[Reference]], length: int, stop: int) -> list[set[tuple[str, int]]]:
    """After each step ``t < length``: the rows ``(kind, s)``, ``s ≤ t``, read by a step in ``(t, stop)``."""
    last: dict[tuple[str, int], int] = {}
    for t in range(stop):
        for kind, references in parts.items():
            for reference in references:
                last.update({(kind, s): t for s in reference(t)})
    return [{row for row, step in last.items() if row[1] <= t < step} for t in range(length)]
