"""Quantities of mixers whose windows, strides, blocks, bands or globals are symbols instead of numbers.

Each symbolic pattern has its three counts in ``n`` and its symbols; ``Min`` separates the regimes, and
``expr.rewrite(sympy.Piecewise)`` spells them out. What fits no rule is refused, never guessed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import sympy

from glmix_theory.complexity.degree import degree_law
from glmix_theory.complexity.live import live_law
from glmix_theory.complexity.quantity import Quantity
from glmix_theory.errors import SymbolicError
from glmix_theory.mixers import Mixer
from glmix_theory.notation import n
from glmix_theory.patterns import Blocks, GlobalTokens, Pattern, Strided, Window
from glmix_theory.patterns.algebra import Union
from glmix_theory.patterns.unary import Shift, Strict

_HALF = sympy.Rational(1, 2)


@dataclass(frozen=True)
class SymbolicCounts:
    """Largest in-degree, total and largest live set, for every ``n ≥ 1``, with their leading terms for large ``n``."""

    peak: sympy.Expr
    total: sympy.Expr
    live: sympy.Expr
    peak_lead: sympy.Expr
    total_lead: sympy.Expr
    live_lead: sympy.Expr
    monotone: bool
    reason: str


def counts(pattern: Pattern) -> SymbolicCounts:
    """Counts of a pattern with or without symbols.

    >>> w = sympy.Symbol("w", integer=True, positive=True)
    >>> counts(Window(w) | GlobalTokens(2)).peak
    Min(n, w + 2)

    Raises
    ------
    SymbolicError
        The pattern combines its symbols in a way no rule covers.
    """
    if not pattern.free_symbols:
        return _numeric(pattern)
    interval = _interval(pattern)
    if interval is not None:
        return _interval_counts(*interval, repr(pattern))
    if isinstance(pattern, Blocks):
        return _block_counts(pattern.parameter)
    if isinstance(pattern, Strict) and isinstance(pattern.base, Blocks):
        return _strict_block_counts(pattern.base.parameter)
    if isinstance(pattern, GlobalTokens):
        g = pattern.parameter
        m = sympy.Min(n, g)
        reason = f"{pattern!r}: step t reads min(t+1, {g}) positions, which stay live for ever"
        return SymbolicCounts(m, m * (m + 1) / 2 + (n - m) * m, m, g, g * n, g, True, reason)
    stride = _stride(pattern)
    if stride is not None:
        return _stride_counts(*stride, repr(pattern))
    if isinstance(pattern, Union):
        found = _union_counts(pattern)
        if found is not None:
            return found
    raise SymbolicError(
        f"{pattern!r}: no closed form in {', '.join(sorted(map(str, pattern.free_symbols)))} is known; give numbers "
        "first with .subs – windows, bands, strides, blocks, globals, and a window with globals or a stride have one"
    )


def symbolic_quantity(mixer: Mixer, name: str, again: Callable[[Mixer], Quantity]) -> Quantity:
    """One quantity of a mixer with symbols; ``again`` makes the numeric one after ``.subs``.

    Raises :class:`~glmix_theory.errors.SymbolicError` where no rule covers the patterns.
    """
    if name == "cache_size":
        patterns = {"inputs": mixer.direct, "outputs": mixer.output_reads}
    else:
        patterns = mixer.parts
    found = {part: counts(pattern) for part, pattern in patterns.items()}
    kind = {"step_cost": "peak", "total_cost": "total", "cache_size": "live"}[name]
    values = [getattr(part, kind) for part in found.values()]
    leads = [getattr(part, f"{kind}_lead") for part in found.values()]
    moving = [part for part, value in zip(found.values(), values) if kind == "peak" and not part.monotone]
    if moving and any(value.has(n) for part, value in zip(found.values(), values) if part is not moving[0]):
        raise SymbolicError(
            f"{mixer!r}: in-degrees that go up and down add to no closed maximum; substitute numbers first with .subs"
        )
    scale = mixer.state if name == "cache_size" else 1
    expr = sympy.Add(*values) * scale
    lead = _dominant(sympy.Add(*leads) * scale)
    evidence = tuple(f"{part}: {entry.reason}" for part, entry in found.items())
    regimes = f"regimes: {expr.rewrite(sympy.Piecewise)}"
    constant, theta = lead.as_coeff_Mul()
    return Quantity(
        name,
        lambda length: expr.subs(n, length),
        expr,
        theta,
        "proved",
        (*evidence, "counts of the parts add, for every n ≥ 1 and every positive value of the symbols", regimes),
        {"step_cost": "terms per step", "total_cost": "terms", "cache_size": "rows"}[name],
        constant,
        again=lambda *given: again(mixer.subs(*given)),
    )


def _dominant(lead: sympy.Expr) -> sympy.Expr:
    """The terms of the highest power of ``n``."""
    polynomial = sympy.Poly(sympy.expand(lead), n)
    return sympy.factor_terms(polynomial.LC()) * n ** polynomial.degree()


def _numeric(pattern: Pattern) -> SymbolicCounts:
    degree, live = degree_law(pattern), live_law(pattern)
    known = [] if degree is None or live is None else [degree.peak_expr, degree.prefix_expr, live.peak_expr]
    rates = [] if degree is None or live is None else [degree.growth, degree.prefix_growth, live.growth]
    if not known or None in known or None in rates or any(r.constant is None or r.logs != 0 for r in rates if r):
        raise SymbolicError(f"{pattern!r} has no polynomial closed form to add to those in symbols; give numbers first")
    assert degree is not None
    leads = [rate.constant * rate.scale if rate.constant != 0 else sympy.Integer(0) for rate in rates if rate]
    reason = "; ".join(degree.evidence)
    return SymbolicCounts(known[0], known[1], known[2], leads[0], leads[1], leads[2], degree.monotone, reason)


def _interval(pattern: Pattern) -> tuple[int, sympy.Expr] | None:
    """``(first, size)`` of the lags ``first … first + size - 1``."""
    if isinstance(pattern, Window):
        return 0, sympy.sympify(pattern.w)
    if isinstance(pattern, Shift) and (base := _interval(pattern.base)) is not None:
        return base[0] + pattern.m, base[1]
    if isinstance(pattern, Strict) and (base := _interval(pattern.base)) is not None:
        return (1, base[1] - 1) if base[0] == 0 else base
    return None


def _interval_counts(first: int, size: sympy.Expr, name: str) -> SymbolicCounts:
    m = sympy.Min(sympy.Max(n - first, 0) if first > 1 else n - first, size)
    farthest = first + size - 1
    total = n * m - first * m - m * (m - 1) / 2
    live = sympy.Min(n, farthest)
    reason = (
        f"{name} has the lags {first} … {farthest}, min(t+1 - {first}, {size}) of them at step t; "
        f"the last {farthest} rows are live"
    )
    return SymbolicCounts(m, total, live, size, size * n, farthest, True, reason)


def _stride(pattern: Pattern) -> tuple[sympy.Expr, bool] | None:
    """``(step, with lag 0)``."""
    if isinstance(pattern, Strided):
        return sympy.sympify(pattern.s), True
    if isinstance(pattern, Strict) and (base := _stride(pattern.base)) is not None:
        return base[0], False
    return None


def _stride_counts(step: sympy.Expr, diagonal: bool, name: str) -> SymbolicCounts:
    q = sympy.ceiling(n / step)
    less = 0 if diagonal else 1
    total = n * q - step * q * (q - 1) / 2 - less * n
    reason = (
        f"{name}: the multiples of {step} are infinitely many lags, ⌈n/{step}⌉ of them below n; every row is read again"
    )
    return SymbolicCounts(q - less, total, n, n / step, n**2 / (2 * step), n, True, reason)


def _block_counts(b: sympy.Expr) -> SymbolicCounts:
    q = sympy.floor(n / b)
    r = n - b * q
    total = q * b * (b + 1) / 2 + r * (r + 1) / 2
    reason = f"Blocks({b}): in-degrees 1 … {b} in turn; before its last step a block's rows are live, up to {b} - 1"
    return SymbolicCounts(sympy.Min(n, b), total, sympy.Min(n, b - 1), b, (b + 1) * n / 2, b - 1, False, reason)


def _strict_block_counts(b: sympy.Expr) -> SymbolicCounts:
    whole = _block_counts(b)
    reason = f"{whole.reason}; without the diagonal each step reads one less"
    return SymbolicCounts(
        whole.peak - 1, whole.total - n, whole.live, b - 1, (b - 1) * n * _HALF, whole.live_lead, False, reason
    )


def _union_counts(pattern: Union) -> SymbolicCounts | None:
    for one, other in (pattern.parts, pattern.parts[::-1]):
        interval = _interval(one)
        if interval is None or interval[0] != 0:
            continue
        w = interval[1]
        if isinstance(other, GlobalTokens):
            size = w + other.parameter
            joint = _interval_counts(0, size, repr(pattern))
            reason = f"{pattern!r}: a window of {w} and the first {other.parameter} positions, min(t+1, {size}) in all"
            return SymbolicCounts(
                joint.peak, joint.total, joint.live, joint.peak_lead, joint.total_lead, joint.live_lead, True, reason
            )
        stride = _stride(other)
        if stride is not None and stride[1]:
            window, far = _interval_counts(0, w, repr(one)), _stride_counts(stride[0], True, repr(other))
            c = sympy.ceiling(sympy.Min(n, w) / stride[0])
            common = n * c - stride[0] * c * (c - 1) / 2
            reason = f"{window.reason}; {far.reason}; ⌈min(n, {w})/{stride[0]}⌉ lags are common"
            return SymbolicCounts(
                window.peak + far.peak - c,
                window.total + far.total - common,
                n,
                far.peak_lead,
                far.total_lead,
                n,
                True,
                reason,
            )
    return None
