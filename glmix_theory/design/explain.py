"""Which of several mixers carries a given matrix, and what none of their coefficients could get below."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from glmix_theory.complexity import Bounds, cache_size, plain, total_cost
from glmix_theory.complexity.lifetimes import last_reads, live_counts
from glmix_theory.errors import PatternError, RealizationError, ShapeError, SymbolicError, UnknownNameError, nearest
from glmix_theory.mixers import Mixer, catalogue
from glmix_theory.mixers.realize import check_matrix, realize
from glmix_theory.progress import track
from glmix_theory.rendering import Table

CUTS = 15
"""Cuts whose spectrum is taken beyond 64 positions: ``n/16, 2n/16, …``; below, every cut."""

_ALL_CUTS_TO = 64

TIE_DIGITS = 9
"""Relative residuals that agree to this many decimals tie, and the cheaper mixer comes first."""


@dataclass(frozen=True)
class RankBound:
    """A residual that no coefficients of a mixer get below for a matrix, made by :func:`rank_bound`.

    Parameters
    ----------
    value : float
        Least Frobenius norm of the matrix minus any matrix the mixer carries, over all heads.
    relative : float
        The same divided by the norm of the given matrix; 0 for a zero matrix.
    cut : int
        The cut ``c`` that shows it, in the head where it shows most.
    rank : int
        What the rank of ``M[c:, :c]`` is at most there: rows live at the cut.
    """

    value: float
    relative: float
    cut: int
    rank: int

    def __str__(self) -> str:
        if self.value == 0:
            return "no lower bound: no block of the matrix has a larger rank than the rows live at its cut"
        return (
            f"residual ≥ {self.value:.6g} ({self.relative:.3g} of the matrix) for any coefficients: "
            f"rank {self.rank} at cut {self.cut} (proposition 9, Eckart–Young)"
        )


def rank_bound(matrix: np.ndarray | Sequence[Sequence[float]], mixer: Mixer) -> RankBound:
    """Find what no coefficients of a mixer get below, from the rank of what crosses a cut.

    Claim: every matrix a mixer carries has ``rank M[c:, :c] ≤ ρ_c``, the rows live at cut ``c`` (inputs that steps
    ``≥ c`` read, and ``r`` rows of every output they read; proposition 9), so by Eckart and Young (1936) the squared
    residual is at least ``Σ_{j > ρ_c} σ_j²`` of that block of the given matrix, for every ``c``.

    Parameters
    ----------
    matrix : array (n, n) or (heads, n, n), real
        As for :func:`~glmix_theory.mixers.realize.realize`. Heads add up, each at its best cut.
    mixer : Mixer
        Any mixer of numbers, also one that ``realize`` has no method for.

    Returns
    -------
    RankBound
        The best over all cuts for ``n ≤ 64``, over the cuts ``n/16, 2n/16, …`` beyond.

    Raises
    ------
    ShapeError, DtypeError, CausalityError, RealizationError, SymbolicError
        As :func:`~glmix_theory.mixers.realize.realize`.

    Examples
    --------
    >>> import numpy as np, glmix_theory as glm
    >>> copy = np.eye(16, k=-8)                       # y_t = x_{t-8}: the middle block is the identity of 8 rows
    >>> bound = rank_bound(copy, glm.Mixer(recurrent=glm.Lags([1, 2, 3])))
    >>> bound.cut, bound.rank, round(bound.value**2, 9)
    (8, 3, 5.0)

    References
    ----------
    Eckart & Young 1936, doi:10.1007/BF02288367; THEORY propositions 9 and 15.
    """
    target, _ = check_matrix(matrix, mixer.state if mixer.readout is None else 1)
    _check_numbers(repr(mixer), mixer)
    return _Spectra(target).bound(mixer)


class _Spectra:
    """Singular values of the blocks ``M[c:, :c]``, taken once and shared by all mixers."""

    def __init__(self, target: np.ndarray) -> None:
        self.target = target
        self.n = target.shape[2]
        self.each = target.shape[1] // self.n
        self.norm = float(np.linalg.norm(target))
        self.cuts = list(range(1, self.n))
        if self.n > _ALL_CUTS_TO:
            self.cuts = [round(self.n * i / (CUTS + 1)) for i in range(1, CUTS + 1)]
        self.tails: dict[tuple[int, int], np.ndarray] = {}

    def tail(self, head: int, cut: int, rank: int) -> float:
        """``Σ_{j > rank} σ_j²`` of the block at a cut."""
        if rank >= min(cut, (self.n - cut) * self.each):
            return 0.0
        if (head, cut) not in self.tails:
            block = self.target[head, cut * self.each :, :cut]
            energies = np.linalg.svd(block, compute_uv=False) ** 2
            self.tails[head, cut] = np.append(np.cumsum(energies[::-1])[::-1], 0.0)
        return float(self.tails[head, cut][rank])

    def bound(self, mixer: Mixer) -> RankBound:
        """The bound for one mixer."""
        ranks = crossing_rows(mixer, self.n)
        largest, cut = 0.0, 0
        pairs = [(head, c) for head in range(len(self.target)) for c in self.cuts]
        best = np.zeros(len(self.target))
        for head, c in track(pairs, "bounding"):
            found = self.tail(head, c, int(ranks[c - 1]))
            best[head] = max(best[head], found)
            if found > largest:
                largest, cut = found, c
        total = float(np.sqrt(best.sum()))
        rank = int(ranks[cut - 1]) if cut else 0
        return RankBound(total, total / self.norm if self.norm else 0.0, cut, rank)


def crossing_rows(mixer: Mixer, n: int) -> np.ndarray:
    """Rows live at the cuts ``1 … n-1`` (entry ``c - 1``) when only ``n`` steps read; inputs once, outputs ``r`` times.

    >>> crossing_rows(Mixer(recurrent=catalogue["kth_order_recurrence"].recurrent), 6).tolist()
    [1, 2, 3, 4, 4]
    """
    inputs = live_counts(last_reads(mixer.direct, n, n)[0])
    outputs = live_counts(last_reads(mixer.output_reads, n, n)[0])
    return (inputs + mixer.state * outputs)[: n - 1]


@dataclass(frozen=True)
class Explained:
    """How well one mixer carries a matrix.

    Parameters
    ----------
    name : str
        The mixer's name in the explanation.
    mixer : Mixer
        The mixer.
    residual, relative : float or None
        Frobenius norm of what is missed, and the same divided by the matrix's; ``None`` where no method is known.
    exact : bool
        Whether every row is carried.
    bound : RankBound
        What no coefficients of the mixer get below.
    terms : int
        Coefficients α, β and γ at this length: pairs of the patterns.
    numbers : int
        Numbers they consist of: a pair has ``r`` for α and γ and ``r²`` for β.
    cache : int or Bounds
        Rows a streaming decoder keeps at this length.
    refused : str
        Why the mixer could not be realised; empty where it was.
    """

    name: str
    mixer: Mixer
    residual: float | None
    relative: float | None
    exact: bool
    bound: RankBound
    terms: int
    numbers: int
    cache: Any
    refused: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "name": self.name,
            "mixer": repr(self.mixer),
            "residual": self.residual,
            "relative": None if self.relative is None else (self.relative if np.isfinite(self.relative) else "oo"),
            "exact": self.exact,
            "lower_bound": self.bound.value,
            "lower_bound_cut": self.bound.cut or None,
            "terms": self.terms,
            "numbers": self.numbers,
            "cache": plain(self.cache),
            "refused": self.refused or None,
        }

    @property
    def _order(self) -> tuple[float, int, int, str]:
        cache = self.cache.upper if isinstance(self.cache, Bounds) else self.cache
        relative = float("inf") if self.relative is None else (0.0 if self.exact else round(self.relative, TIE_DIGITS))
        return relative, self.numbers, int(cache), self.name


@dataclass(frozen=True)
class Explanation:
    """Mixers by how well they carry a matrix, best first, made by :func:`explain`; iterates over :class:`Explained`."""

    n: int
    heads: int
    norm: float
    constraint: str | None
    rows: tuple[Explained, ...] = field(repr=False)

    @property
    def best(self) -> Explained:
        """The first: least residual, then fewest numbers, then smallest cache."""
        return self.rows[0]

    def __iter__(self) -> Iterator[Explained]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, name: str) -> Explained:
        for row in self.rows:
            if row.name == name:
                return row
        raise UnknownNameError(f"no mixer is named {name!r} here; {nearest(str(name), [r.name for r in self.rows])}")

    def table(self) -> Table:
        """A row for each mixer, best first."""
        columns = ["mixer", "carried", "residual", "no less than", "terms", "numbers", "cache"]
        rows = []
        for row in self.rows:
            if row.relative is None:
                carried, residual = "no method", "–"
            else:
                carried, residual = ("exactly" if row.exact else "in part"), f"{row.relative:.4g}"
            costs = [f"{row.terms}", f"{row.numbers}", f"{row.cache}"]
            rows.append([row.name, carried, residual, f"{row.bound.relative:.4g}", *costs])
        given = self.n * (self.n + 1) // 2
        refused = "".join(f"\n{row.name}: {row.refused}" for row in self.rows if row.refused)
        caption = (
            f"residuals relative to the matrix; terms, numbers (r for α and γ, r² for β) and cache at n = {self.n}, "
            f"per head; the matrix itself is {given} numbers{refused}"
        )
        held = f", {self.constraint} coefficients" if self.constraint else ""
        heads = f" of {self.heads} heads" if self.heads > 1 else ""
        return Table(columns, rows, title=f"matrix{heads}, n = {self.n}{held}", caption=caption)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "n": self.n,
            "heads": self.heads,
            "norm": self.norm,
            "constraint": self.constraint,
            "mixers": [row.to_dict() for row in self.rows],
        }

    def to_json(self) -> str:
        """:meth:`to_dict` as indented JSON text."""
        return json.dumps(self.to_dict(), indent=2, ensure_ascii=False)

    def to_markdown(self) -> str:
        """The table in Markdown."""
        return self.table().to_markdown()

    def __str__(self) -> str:
        return self.table().to_text()

    def _repr_html_(self) -> str:
        mixers = "".join(
            f"<li>{html.escape(row.name)}: <code>{html.escape(repr(row.mixer))}</code></li>" for row in self.rows
        )
        return f"<div>{self.table().to_html()}<ul>{mixers}</ul></div>"


def explain(
    matrix: np.ndarray | Sequence[Sequence[float]],
    mixers: Mapping[str, Mixer | str] | Sequence[Mixer | str],
    constraint: str | None = None,
) -> Explanation:
    """Rank mixers by how well they carry a given matrix.

    Claim: the order is by the relative residual of :func:`~glmix_theory.mixers.realize.realize` (0 where exact; equal
    to nine decimals ties), then by the numbers the coefficients consist of, then by cache. A dense direct part
    carries everything, so read the residual beside the cost. The fit of a mixer that does not carry the matrix is
    greedy and another one may miss less; the column *no less than* holds what none gets below.

    Parameters
    ----------
    matrix : array (n, n) or (heads, n, n), real
        Lower triangular; residuals add up over heads.
    mixers : mapping from name to Mixer, or sequence of Mixer; a catalogue name stands for its mixer
        At least one. In a sequence a mixer goes by its own name, else by its text.
    constraint : {None, "stable", "stochastic"}
        As for ``realize``.

    Returns
    -------
    Explanation
        ``e.best``, ``e["name"].relative``, ``e.table()``. Coefficients are not kept: call ``realize`` for the chosen.
        Mixers with a readout for which no method is known come last, with the reason.

    Raises
    ------
    ShapeError, DtypeError, CausalityError, RealizationError
        The matrix, as for ``realize``.
    PatternError, SymbolicError, UnknownNameError
        No mixer, something that is none, one with symbols, an unknown catalogue name or constraint.

    Examples
    --------
    >>> import numpy as np, glmix_theory as glm
    >>> decay = np.tril(0.9 ** np.subtract.outer(np.arange(32), np.arange(32)).clip(0))
    >>> found = explain(decay, ["attention", "diagonal_ssm", "sliding_window"])
    >>> [(row.name, row.exact, row.numbers) for row in found]
    [('diagonal_ssm', True, 63), ('attention', True, 528), ('sliding_window', False, 392)]
    """
    named = _named(mixers)
    target, batched = check_matrix(matrix)
    given = target if batched else target[0]
    spectra, n = _Spectra(target), target.shape[2]
    rows = [_explained(name, mixer, given, constraint, spectra, n) for name, mixer in named.items()]
    ordered = tuple(sorted(rows, key=lambda row: row._order))
    return Explanation(n, len(target), spectra.norm, constraint, ordered)


def _explained(
    name: str, mixer: Mixer, matrix: np.ndarray, constraint: str | None, spectra: _Spectra, n: int
) -> Explained:
    r = mixer.state
    sizes = {"direct": r, "recurrent": r * r, "readout": r}
    numbers = sum(sizes[part] * int(pattern.in_degrees(n).sum()) for part, pattern in mixer.parts.items())
    costs = {"terms": int(total_cost(mixer).at(n)), "numbers": numbers, "cache": cache_size(mixer).at(n)}
    try:
        found = realize(matrix, mixer, constraint)
    except (RealizationError, ShapeError) as error:
        return Explained(name, mixer, None, None, False, spectra.bound(mixer), refused=str(error), **costs)
    bound = RankBound(0.0, 0.0, 0, 0) if found.exact else spectra.bound(mixer)
    return Explained(name, mixer, found.residual, found.relative, found.exact, bound, **costs)


def _named(mixers: Mapping[str, Mixer | str] | Sequence[Mixer | str]) -> dict[str, Mixer]:
    """Mixers by name; two of one name in a sequence become ``name`` and ``name (2)``."""
    if isinstance(mixers, str | Mixer) or not isinstance(mixers, Mapping | Sequence):
        raise PatternError(
            f"explain needs a mapping or a sequence of mixers, got {type(mixers).__name__}; for one write [{mixers!r}]"
        )
    if isinstance(mixers, Mapping):
        named = {name: catalogue[mixer] if isinstance(mixer, str) else mixer for name, mixer in mixers.items()}
    else:
        named = {}
        for mixer in mixers:
            value = catalogue[mixer] if isinstance(mixer, str) else mixer
            base = mixer if isinstance(mixer, str) else getattr(value, "name", "") or repr(value)
            free = (base if i == 1 else f"{base} ({i})" for i in range(1, len(mixers) + 1))
            named[next(name for name in free if name not in named)] = value
    if not named:
        raise PatternError("explain needs at least one mixer, got none")
    for name, mixer in named.items():
        _check_numbers(name, mixer)
    return named


def _check_numbers(name: str, mixer: object) -> None:
    if not isinstance(mixer, Mixer):
        raise PatternError(f"{name!r} is a {type(mixer).__name__}; a glm.Mixer is needed")
    if mixer.free_symbols:
        raise SymbolicError(f"{name!r} has symbols as parameters; substitute numbers first: mixer.subs(…)")
