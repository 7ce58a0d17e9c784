"""Proofs that index functions increase: each a short argument that holds for every ``k``.

An *exponential polynomial* is ``Σ_b p_b(k) b^k`` with rational ``b > 0`` and polynomials ``p_b``: it covers
polynomials, exponentials and their mixtures, and its differences are of the same kind.
"""

from __future__ import annotations

import sympy

from glmix_theory.notation import k

ExponentialPolynomial = dict[sympy.Rational, sympy.Poly]

_STARTS = (0, 1, 2, 4, 8, 16, 32, 64, 128, 256)
_x = sympy.Symbol("x", nonnegative=True)


def exponential_polynomial(expression: sympy.Expr) -> ExponentialPolynomial | None:
    """``{b: p_b}`` of ``Σ_b p_b(k) b^k``, or ``None`` where the expression is of another kind.

    >>> exponential_polynomial(k**2 + 3 * 2 ** (2 * k + 1))
    {4: Poly(6, k, domain='ZZ'), 1: Poly(k**2, k, domain='ZZ')}
    """
    found: dict[sympy.Rational, sympy.Expr] = {}
    for term in sympy.Add.make_args(sympy.expand(expression)):
        base, coefficient = sympy.Integer(1), sympy.Integer(1)
        for factor in sympy.Mul.make_args(term):
            if (not factor.has(k) and factor.is_Rational) or factor.is_polynomial(k):
                coefficient *= factor
            elif factor.is_Pow and factor.base.is_Rational and factor.base > 0 and factor.exp.is_polynomial(k):
                exponent = sympy.Poly(factor.exp, k)
                constant = factor.base ** exponent.coeff_monomial(1)
                power = factor.base ** exponent.coeff_monomial(k)
                if exponent.degree() > 1 or not (constant.is_Rational and power.is_Rational):
                    return None
                base, coefficient = base * power, coefficient * constant
            else:
                return None
        found[base] = found.get(base, sympy.Integer(0)) + coefficient
    polynomials = {base: sympy.Poly(sympy.expand(form), k) for base, form in found.items()}
    kept = {base: p for base, p in polynomials.items() if not p.is_zero}
    if any(not c.is_Rational for p in kept.values() for c in p.all_coeffs()):
        return None
    return dict(sorted(kept.items(), reverse=True))


def dominated_from(form: ExponentialPolynomial) -> int | None:
    """A ``K`` such that the exponential polynomial is ``≥ 0`` for every ``k ≥ K``, or ``None``.

    With ``b`` the largest base: ``p_b(K + y)`` has no negative coefficient, so ``p_b`` does not decrease from
    ``K`` on; every other term ``|c| k^j (a/b)^k`` does not increase from ``K`` on, since
    ``((K+1)/K)^j a/b ≤ 1``; and ``p_b(K)`` is at least the sum of the others at ``K``.
    """
    if not form:
        return 0
    (top, leading), *others = form.items()
    for start in _STARTS:
        lifted = leading.compose(sympy.Poly(k + start, k))
        if any(c < 0 for c in lifted.all_coeffs()):
            continue
        rest = sympy.Integer(0)
        for base, polynomial in others:
            for (j,), c in polynomial.terms():
                ratio = base / top
                if j and (start == 0 or sympy.Rational(start + 1, start) ** j * ratio > 1):
                    break
                rest += abs(c) * sympy.Integer(start) ** j * ratio**start
            else:
                continue
            break
        else:
            if leading.eval(start) >= rest:
                return start
    return None


def prove_nonnegative(expression: sympy.Expr, name: str) -> str | None:
    """A reason why an exponential polynomial is ``≥ 0`` at every integer ``k ≥ 0``, or ``None``.

    >>> prove_nonnegative(2**k - k, "g(k)")
    'g(k) = 2**k - k: from k = 1 on the largest base outweighs the rest, which shrinks against it; ≥ 0 at each k < 1'
    """
    expression = sympy.expand(expression)
    form = exponential_polynomial(expression)
    start = None if form is None else dominated_from(form)
    if start is None or any(expression.subs(k, index) < 0 for index in range(start)):
        return None
    if start == 0 and form is not None and len(form) <= 1:
        return f"{name} = {expression} ≥ 0 for every k ≥ 0, by its signs"
    below = f"; ≥ 0 at each k < {start}" if start else ""
    return (
        f"{name} = {expression}: from k = {start} on the largest base outweighs the rest, which shrinks against "
        f"it{below}"
    )


def prove_positive(expression: sympy.Expr, checked: int, name: str) -> str | None:
    """A reason why ``expression > 0`` for every integer ``k ≥ 0``, or ``None`` where none was found.

    Tries the signs of the terms; for polynomials Sturm's theorem beyond ``checked`` with the value at each
    ``k < checked``; for exponential polynomials the largest base against the others.

    >>> prove_positive(k**2 - k + 1, 8, "g(k)")
    'g(k) = k**2 - k + 1 has positive leading coefficient, no real root from k = 8 on (Sturm), and is > 0 at each k < 8'
    """
    expression = sympy.expand(expression)
    if expression.is_positive:
        return f"{name} = {expression} > 0 for every k ≥ 0, by the signs of its terms"
    if expression.is_polynomial(k):
        polynomial = sympy.Poly(expression, k)
        beyond = polynomial.LC() > 0 and polynomial.count_roots(checked, None) == 0
        if beyond and all(expression.subs(k, index) > 0 for index in range(checked)):
            return (
                f"{name} = {expression} has positive leading coefficient, no real root from k = {checked} on (Sturm), "
                f"and is > 0 at each k < {checked}"
            )
        return None
    form = exponential_polynomial(expression)
    if form is None or min(form) < 1:
        return None
    # with a base of at least 1 everywhere, values lie in (1/D)Z, so > 0 is ≥ 1/D
    denominator = sympy.ilcm(*(c.q for p in form.values() for c in p.all_coeffs()))
    reason = prove_nonnegative(expression - sympy.Rational(1, denominator), f"{name} - 1/{denominator}")
    return reason if reason is None or denominator > 1 else reason.replace("- 1/1", "- 1")


def prove_steps(expression: sympy.Expr, least: int, name: str = "f") -> str | None:
    """A reason why ``f(k+1) - f(k) ≥ least`` (0 or 1) for every integer ``k ≥ 0``, or ``None``.

    Sums are proved group by group: all groups step by at least 0, one by at least ``least``.

    >>> prove_steps(sympy.floor(3 * k / 2) + 1, 1)
    'floor(x) steps by at least 1 when x does: x(k+1) - x(k) - 1 = 1/2 ≥ 0 for every k ≥ 0, by its signs'
    """
    groups: list[sympy.Expr] = []
    plain = sympy.Integer(0)
    for term in sympy.Add.make_args(sympy.expand(expression)):
        if exponential_polynomial(term) is None:
            groups.append(term)
        else:
            plain += term
    if plain.has(k) or not groups:
        groups.insert(0, plain)
    reasons = []
    missing = least
    for group in groups:
        reason = _prove_group(group, missing, name) if missing else None
        if reason is not None:
            missing = 0
        else:
            reason = _prove_group(group, 0, name)
        if reason is None:
            return None
        reasons.append(reason)
    return None if missing else "; ".join(reasons)


def _prove_group(group: sympy.Expr, least: int, name: str) -> str | None:
    if exponential_polynomial(group) is not None:
        step = group.subs(k, k + 1) - group - least
        return prove_nonnegative(step, f"{name}(k+1) - {name}(k)" + (f" - {least}" if least else ""))
    factor, term = group.as_coeff_Mul()
    if factor < 1 or not factor.is_Rational:
        return _mean_value(group, least)
    if isinstance(term, (sympy.floor, sympy.ceiling)):
        inner = prove_steps(term.args[0], least, "x")
        kind = "floor" if isinstance(term, sympy.floor) else "ceiling"
        return inner and f"{kind}(x) steps by at least {least} when x does: {inner}"
    if isinstance(term, sympy.fibonacci) and (term.args[0] - k).is_Integer and len(term.args) == 1:
        if term.args[0] - k >= 1 + least:
            return f"F(m+1) - F(m) = F(m-1) ≥ {least} for m = {term.args[0]}, k ≥ 0"
        return None
    if term.has(sympy.factorial, sympy.gamma, sympy.binomial):
        ratio = sympy.combsimp(term.subs(k, k + 1) / term)
        reason = prove_nonnegative(ratio - 1 - least, "r(k)" + " - 1" * (1 + least)) if ratio.is_polynomial(k) else None
        if reason and term.subs(k, 0) >= 1:
            return f"{term} is multiplied by r(k) = {ratio} at each step from {term.subs(k, 0)} on, {reason}"
        return None
    return _mean_value(group, least)


def _mean_value(group: sympy.Expr, least: int) -> str | None:
    """By the mean value theorem: the slope is at least ``least`` beyond some ``K``, every step below is."""
    if group.has(sympy.floor, sympy.ceiling):
        return None
    real = group.subs(k, _x)
    slope = sympy.diff(real, _x)
    for start in (0, 1, 2, 4, 8, 16):
        try:
            below = all((group.subs(k, j + 1) - group.subs(k, j) - least).is_nonnegative for j in range(start))
        except TypeError:
            return None
        lifted = sympy.together(slope.subs(_x, _x + start) - least)
        if below and lifted.is_nonnegative:
            return f"d/dx {real} = {slope} ≥ {least} for x ≥ {start}, by signs; each step below is checked"
        if below and convex_from(real, start) and (slope.subs(_x, start) - least).is_nonnegative:
            return (
                f"d/dx {real} = {slope} does not decrease from x = {start} on, where it is at least {least}; "
                "each step below is checked"
            )
    return None


def convex_from(real: sympy.Expr, start: int) -> bool:
    """Whether the second derivative is ``≥ 0`` for ``x ≥ start``, by the signs of its terms."""
    inside = sympy.Symbol("x", positive=True)  # the ends of an interval do not matter for convexity
    bend = sympy.diff(real, _x, 2).subs(_x, inside + start)
    return bool(bend.is_nonnegative or sympy.together(bend).is_nonnegative or sympy.factor(bend).is_nonnegative)


def gap_ratio(expression: sympy.Expr, gaps: list[int]) -> tuple[int, str] | None:
    """``(D, reason)`` with ``g_j ≤ D g_k`` for all ``j ≤ k``, where ``g`` are the gaps of ``f``; or ``None``.

    Parameters
    ----------
    expression : sympy expression
        ``f``, known to be strictly increasing.
    gaps : list of int
        Its first gaps, enough to check below the start of the argument.

    Raises nothing; a growth that fits no rule gives ``None``.
    """
    bend = sympy.expand(expression.subs(k, k + 2) - 2 * expression.subs(k, k + 1) + expression)
    form = exponential_polynomial(bend)
    if form is not None:
        start = dominated_from(form)
        if start is not None and start < len(gaps):
            return _checked_ratio(gaps, start, f"second difference {bend} ≥ 0 from k = {start} on")
    rounded = [term for term in sympy.Add.make_args(expression) if term.has(sympy.floor, sympy.ceiling)]
    inner = rounded[0].args[0] if len(rounded) == 1 and rounded[0].func.is_Function else None
    if inner is not None and not inner.has(sympy.floor, sympy.ceiling):
        return _rounded_ratio(expression - rounded[0] + inner)
    groups = [term for term in sympy.Add.make_args(expression) if term.has(k)]
    reasons = [_rising_gaps(term) for term in groups]
    return None if None in reasons else (1, "gaps never decrease: " + "; ".join(map(str, reasons)))


def _rounded_ratio(smooth: sympy.Expr) -> tuple[int, str] | None:
    """Of ``f = smooth`` up to rounding one term: rounding moves a step to a neighbouring integer."""
    curve = exponential_polynomial(smooth.subs(k, k + 2) - 2 * smooth.subs(k, k + 1) + smooth)
    if (curve is not None and dominated_from(curve) == 0) or convex_from(smooth.subs(k, _x), 0):
        return 2, (
            f"{smooth} is convex, so its steps do not decrease; rounding moves a step to a neighbouring integer, "
            "so no gap is below an earlier one by more than 1, and g_j ≤ g_k + 1 ≤ 2 g_k"
        )
    if convex_from(-smooth.subs(k, _x), 0):
        most = int(sympy.ceiling(smooth.subs(k, 1) - smooth.subs(k, 0))) + 1
        return most, f"{smooth} is concave, so no step exceeds the first: every gap is at least 1 and at most {most}"
    return None


def _rising_gaps(term: sympy.Expr) -> str | None:
    """A reason why the steps of one term never decrease, or ``None``."""
    bend = sympy.expand(term.subs(k, k + 2) - 2 * term.subs(k, k + 1) + term)
    form = exponential_polynomial(bend)
    if form is not None:
        return f"second difference of {term} is {bend} ≥ 0" if dominated_from(form) == 0 else None
    factor, function = term.as_coeff_Mul()
    if isinstance(function, sympy.fibonacci) and factor > 0 and (function.args[0] - k - 2).is_nonnegative:
        return f"{term}: F(m+2) - 2 F(m+1) + F(m) = F(m-2) ≥ 0 for m ≥ 2"
    ratio = sympy.combsimp(sympy.simplify(bend / term))
    if factor > 0 and ratio.is_rational_function(k) and _nonnegative_ratio(ratio):
        return f"the second difference of {term} is {ratio} times it, ≥ 0"
    return None


def _nonnegative_ratio(ratio: sympy.Expr) -> bool:
    above, below = (sympy.Poly(part, k) for part in sympy.fraction(sympy.together(ratio)))
    return all(c >= 0 for c in above.all_coeffs()) and all(c >= 0 for c in below.all_coeffs())


def _checked_ratio(gaps: list[int], start: int, reason: str) -> tuple[int, str]:
    largest, bound = 0, 1
    for gap in gaps[: start + 1]:
        largest = max(largest, gap)
        bound = max(bound, -(-largest // gap))
    return bound, f"{reason}, so gaps never decrease there" + (
        f"; among the first {start + 1} no gap exceeds {bound} times a later one" if bound > 1 else ""
    )


def prove_integral(expression: sympy.Expr, checked: int) -> str | None:
    """Why every value is an integer, as a remark to append; ``None`` where it is not proved.

    ``Σ p_b(k) b^k`` with integer bases obeys the recurrence with characteristic polynomial
    ``Π (x - b)^(deg p_b + 1)``, monic with integer coefficients: integers once the first values are.

    >>> prove_integral(k * (k + 1) / 2 + 1, 8)
    '; integer-valued: a monic integer recurrence of order 3, and its first 3 values are integers'
    """
    # sympy does not know that these are integers at integer arguments
    shown = expression.replace(sympy.fibonacci, sympy.factorial)
    if shown.is_integer:
        return ""
    rest = sympy.Add(*[term for term in sympy.Add.make_args(sympy.expand(shown)) if not term.is_integer])
    form = exponential_polynomial(rest)
    if form is None or any(not base.is_Integer for base in form):
        return None
    order = sum(polynomial.degree() + 1 for polynomial in form.values())
    if order > checked:
        return None
    return f"; integer-valued: a monic integer recurrence of order {order}, and its first {order} values are integers"
