"""State rank: the numbers any implementation must carry past the worst cut, whatever it stores."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import sympy

from glmix_theory.complexity.quantity import Bounds, Quantity, Value
from glmix_theory.errors import check_length
from glmix_theory.expressivity.certificates import CertificateError, DisjointPaths, Node, Path, Separator
from glmix_theory.expressivity.flow import Network
from glmix_theory.expressivity.source_classes import identity_lags
from glmix_theory.mixers import Mixer
from glmix_theory.notation import k, n
from glmix_theory.patterns import Offsets
from glmix_theory.patterns.index_functions import prove_positive

_COUNTED_TO = 24
_EXACT_TO = 512
_FEW_CUTS = 4


@dataclass(frozen=True)
class StateRank:
    """The largest generic rank of ``M[c:, :c]`` over the cuts ``c`` of length ``n``, with certificates.

    Attributes
    ----------
    value, cut : int
        The rank, and a cut that attains it.
    paths : DisjointPaths or None
        ``value`` paths across that cut that share no row: rank ≥ value (Lindström–Gessel–Viennot).
    separators : tuple of Separator
        For every cut that more than ``value`` tokens or live rows cross, ``value`` rows that everything passes.
    live : int
        Most live rows at any cut when only the ``n`` steps read: what a streaming cache holds.
    """

    mixer: Mixer = field(repr=False)
    length: int
    value: int
    cut: int
    paths: DisjointPaths | None = field(repr=False)
    separators: tuple[Separator, ...] = field(repr=False)
    live: int

    @property
    def conclusion(self) -> str:
        """Whether a smaller cache could do the same."""
        if self.live <= self.value:
            return (
                f"this cache is optimal at n = {self.length}: {self.live} live rows, and rank {self.value} needs them"
            )
        less = self.live - self.value
        return (
            f"at n = {self.length} the cache could be smaller by {less} row{'s' * (less > 1)}: {self.live} live rows, "
            f"rank {self.value} at the worst cut"
        )

    def check(self) -> int:
        """Verify the chain at every cut from the pattern alone; returns the rank."""
        if self.value and (self.paths is None or self.paths.check() < self.value):
            raise CertificateError(f"fewer than {self.value} disjoint paths are given")
        if self.paths is not None and (self.paths.mixer, self.paths.length) != (self.mixer, self.length):
            raise CertificateError("the paths belong to another mixer or length")
        given = {separator.cut: separator for separator in self.separators}
        for cut in range(1, self.length):
            width = self.mixer.state if self.mixer.readout is None else 1
            if min(cut, (self.length - cut) * width) <= self.value:
                continue
            if cut not in given:
                raise CertificateError(f"nothing bounds the rank at cut {cut} by {self.value}")
            separator = given[cut]
            if (separator.mixer, separator.length) != (self.mixer, self.length) or separator.check() > self.value:
                raise CertificateError(f"the separator at cut {cut} holds more than {self.value} rows, or is foreign")
        return self.value


def state_rank(mixer: Mixer) -> Quantity:
    """Largest over cuts ``c`` of the generic rank of ``M[c:, :c]``: what *any* implementation must carry.

    >>> import glmix_theory as glm
    >>> q = state_rank(glm.catalogue["quadratic_recurrence"])
    >>> q.expr, q.status, q.at(64)
    (floor(n/2), 'proved', 32)
    >>> state_rank(glm.catalogue["diagonal_ssm"]).at(64)
    1
    """
    law = _law(mixer)
    if law is not None:
        return law
    values = [state_rank_at(mixer, length).value for length in range(1, _COUNTED_TO + 1)]
    shown = ", ".join(f"{values[i - 1]} at n = {i}" for i in (1, 2, 4, 8, 16, _COUNTED_TO))
    return Quantity(
        "state_rank",
        lambda length: _quick(mixer, length),
        status="checked",
        evidence=(
            "generic rank = most row-disjoint paths across the cut (Lindström–Gessel–Viennot), by maximum flow; the "
            "minimum cut is the proof that there are no more (Menger)",
            f"counted at every n ≤ {_COUNTED_TO}: {shown}; exact for n ≤ {_EXACT_TO}, beyond it bounds from a few cuts",
        ),
        unit="rows",
    )


def _law(mixer: Mixer) -> Quantity | None:
    """Closed forms for a state of one row, with a diagonal or absent readout."""
    if mixer.state != 1 or (mixer.readout is not None and not identity_lags(mixer.readout.lag_set)):
        return None
    direct, recurrent = mixer.direct.lag_set, mixer.recurrent.lag_set
    if direct is None or recurrent is None:
        return None
    half = "row c and column c of M[c:, :c]: its rank is at most min(c, n - c) ≤ ⌊n/2⌋"
    if direct.all_from is not None and direct.all_from <= 1:
        return _closed(sympy.floor(n / 2), (half, "x_s → y_(c+s) are min(c, n - c) edges without a common row"))
    if not identity_lags(direct) and recurrent.largest != -1:
        return None
    lags = recurrent if recurrent.largest != -1 else direct
    if isinstance(lags.largest, int):
        largest = max(int(lags.largest), 0)
        members = lags.up_to(largest)
        if len(members[members > 0]) < largest:
            return None
        matching = f"the last m = min(c, n - c, {largest}) rows p before the cut are read by the steps p + m, one each"
        live = f"no lag exceeds {largest}, so at most {largest} rows are live"
        return _closed(sympy.Min(sympy.floor(n / 2), largest), (half, live, matching))
    if lags is recurrent and isinstance(mixer.recurrent, Offsets):
        return _matching(mixer.recurrent, half)
    if recurrent.all_from is not None and recurrent.all_from <= 1:
        return _closed(sympy.floor(n / 2), (half, "y_(c+s) reads y_s: min(c, n - c) edges without a common row"))
    return None


def _matching(pattern: Offsets, half: str) -> Quantity | None:
    """``f(0) = 1`` and ``f(k+1) ≤ 2 f(k) + 1``: every cut is crossed by a perfect matching of edges."""
    f = pattern.function
    if f.expr is None or f(0) != 1 or f.status != "proved":
        return None
    dense_enough = prove_positive(sympy.expand(2 * f.expr + 2 - f.expr.subs(k, k + 1)), 64, "2 f(k) + 2 - f(k+1)")
    if dense_enough is None:
        return None
    return _closed(
        sympy.floor(n / 2),
        (
            half,
            f"f(0) = 1 and f(k+1) ≤ 2 f(k) + 1 ({dense_enough}), so some f(k) - 1 lies in [m, 2m] for every m ≥ 0",
            "matching: number the rows before the cut and the steps after it from the cut, both 0 … m; row p and step "
            "q are at lag p + q + 1. Take u = f(k) - 1 in [m, 2m] and pair p with u - p for u - m ≤ p ≤ m; what is "
            "left is 0 … u - m - 1 on both sides, by induction: m + 1 edges without a common row",
        ),
    )


def _closed(expr: sympy.Expr, evidence: tuple[str, ...]) -> Quantity:
    theta = n if expr == sympy.floor(n / 2) else sympy.Integer(0 if expr == 0 else 1)
    return Quantity(
        "state_rank",
        lambda length: int(expr.subs(n, length)),
        expr,
        theta,
        "proved",
        tuple(filter(None, evidence)),
        "rows",
    )


def _quick(mixer: Mixer, length: int) -> Value:
    """The rank, or bounds where more than a few flows through a long sequence would be needed."""
    search = _Search(mixer, length)
    upper = search.run(None if length <= _EXACT_TO else _FEW_CUTS)
    return search.best if search.best >= upper else Bounds(search.best, upper)


class _Search:
    """Cuts in order of ``min(c, n - c, live rows)``, and the best flow so far."""

    def __init__(self, mixer: Mixer, length: int) -> None:
        self.mixer, self.length = mixer, length
        self.width = mixer.state if mixer.readout is None else 1
        self.rows = _live_rows(mixer, length)  # entry c - 1: rows live at cut c
        self.simple = np.minimum(np.arange(1, length), np.arange(length - 1, 0, -1) * self.width)
        self.bounds = np.minimum(self.simple, self.rows[: length - 1])
        self.best, self.cut = 0, 0
        self.paths: tuple[Path, ...] = ()
        self.minimum: dict[int, frozenset[Node]] = {}

    def run(self, most_cuts: int | None) -> int:
        """Try cuts until none can be better, or that many; returns what the rest is bounded by."""
        network = Network(self.mixer, self.length)
        # among equal bounds the middle cut first: both sides then have room
        order = sorted(range(1, self.length), key=lambda c: (-int(self.bounds[c - 1]), abs(2 * c - self.length)))
        for tried, cut in enumerate(order):
            bound = int(self.bounds[cut - 1])
            if bound <= self.best or tried == most_cuts:
                return max(self.best, bound)
            flow = network.flow(range(cut), range(cut, self.length), self.mixer.state, self.width)
            end = "y" if self.mixer.readout is None else "z"
            closed = {("x", s) for s in flow.closed_sources} | {(end, t) for t in flow.closed_targets}
            self.minimum[cut] = flow.cut | closed
            if flow.value > self.best:
                self.best, self.cut, self.paths = flow.value, cut, flow.paths()
        return self.best


def state_rank_at(mixer: Mixer, length: int) -> StateRank:
    """The state rank at one length with certificates for both sides at every cut.

    Cuts are taken in order of their bound ``min(c, n - c, live rows)``; once a flow reaches the next bound the
    remaining cuts need none.

    >>> import glmix_theory as glm
    >>> found = state_rank_at(glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k)), 32)
    >>> found.value, found.check(), found.conclusion
    (5, 5, 'this cache is optimal at n = 32: 5 live rows, and rank 5 needs them')
    """
    length = check_length(length)
    search = _Search(mixer, length)
    search.run(None)
    separators = tuple(
        Separator(mixer, length, cut, search.minimum[cut] if cut in search.minimum else _live_set(mixer, length, cut))
        for cut in range(1, length)
        if search.simple[cut - 1] > search.best
    )
    certificate = DisjointPaths(mixer, length, search.cut, search.paths) if search.best else None
    held = int(search.rows.max())
    return StateRank(mixer, length, search.best, search.cut, certificate, separators, held)


def _live_rows(mixer: Mixer, length: int) -> np.ndarray:
    """Rows that steps below ``length`` still read after each step: an input counts once, an output ``state`` times."""
    total = np.zeros(length, dtype=np.int64)
    for pattern, weight in ((mixer.direct, 1), (mixer.output_reads, mixer.state)):
        indptr, sources = pattern.rows(0, length)
        last = np.full(length, -1, dtype=np.int64)
        last[sources] = np.repeat(np.arange(length), np.diff(indptr))  # targets ascend: the last one stays
        kept = np.flatnonzero(last > np.arange(length))
        change = np.zeros(length + 1, dtype=np.int64)
        np.add.at(change, kept, weight)
        np.add.at(change, last[kept], -weight)
        total += np.cumsum(change)[:length]
    return total


def _live_set(mixer: Mixer, length: int, cut: int) -> frozenset[Node]:
    """The rows of steps before ``cut`` that steps ``cut … length-1`` read."""
    _, sources = mixer.direct.rows(cut, length)
    inputs = {("x", int(s)) for s in np.unique(sources[sources < cut])}
    _, sources = mixer.output_reads.rows(cut, length)
    return frozenset(inputs | {("y", int(s)) for s in np.unique(sources[sources < cut])})
