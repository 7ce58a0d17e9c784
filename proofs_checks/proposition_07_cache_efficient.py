"""Proposition 7: the cache-efficient pattern, its closed form, and what becomes of it when f(0) > 1.

Positions are 1-based. Slot ``k`` at step ``i`` holds ``v_k(i) = a_k ⌈(i - f(k))/a_k⌉``, the multiple of ``a_k`` in
``[i - f(k), i - f(k) + a_k)``. Each lemma writes ``v_k(i) = p·a_k`` with that interval as its premise.
"""

from __future__ import annotations

import z3

import glmix_theory as glm
from glmix_theory import k
from proofs_checks import _closed_form
from proofs_checks._smt import for_all
from proofs_checks.framework import Proposition, require, step

LARGEST_LISTED = 9
"""Every strictly increasing list of integers up to this one is tried in the illustrations."""


def slot(p: z3.ArithRef, a: z3.ArithRef, i: z3.ArithRef, f: z3.ArithRef) -> list[z3.BoolRef]:
    """Premises that say ``v(i) = p·a``: the multiple of ``a`` in ``[i - f, i - f + a)``."""
    return [i - f <= p * a, p * a < i - f + a]


def _well_defined() -> str:
    """An interval ``[x, x + a)`` holds exactly one multiple of ``a``: ``v_k(i)`` exists and is unique."""
    a, x, p, q, remainder = z3.Ints("a x p q r")
    unique = for_all([a >= 1, x <= p * a, p * a < x + a, x <= q * a, q * a < x + a], p == q, "at most one")
    division = [a >= 1, x == q * a + remainder, remainder >= 0, remainder < a]
    chosen = z3.If(remainder == 0, q * a, q * a + a)
    return f"{unique}; {for_all(division, z3.And(x <= chosen, chosen < x + a), 'at least one')}"


def _periods(rounded: str = "up") -> str:
    """``a_k | a_{k+1}`` and ``gap ≤ a_{k+1} < gap + a_k``, from ``a_{k+1} = a_k ⌈gap / a_k⌉``."""
    a, c, gap, following = z3.Ints("a c gap a_next")
    quotient = {"up": [a * (c - 1) < gap, gap <= a * c], "down": [a * c <= gap, gap < a * (c + 1)]}[rounded]
    premises = [a >= 1, gap >= 1, following == c * a, *quotient]
    claim = z3.And(c >= 1, following >= 1, gap <= following, following < gap + a)
    return f"a_0 = 1; {for_all(premises, claim, 'a_(k+1) = c·a_k with c ≥ 1 and gap ≤ a_(k+1) < gap + a_k')}"


def _rests() -> str:
    """A slot that does not move keeps its value; one that moves held ``i - 1 - f`` and goes up by ``a``."""
    a, f, i = z3.Ints("a f i")
    return _before_and_after([a >= 1, f >= 1, i > f], a, f, i)


def _before_and_after(premises: list[z3.BoolRef], a: z3.ArithRef, f: z3.ArithRef, i: z3.ArithRef) -> str:
    """With ``i - 1 - f = q·a + r``: after the step the quotient is ``q + 1``; before it that too, but ``q`` if r = 0.

    One unknown quotient at a time, so that the solver meets one product of unknowns.
    """
    p, q, remainder = z3.Ints("p q r")
    division = [*premises, i - 1 - f == q * a + remainder, remainder >= 0, remainder < a]
    after = for_all([*division, *slot(p, a, i, f)], p == q + 1, "v(i) = (q + 1)a")
    rested = for_all([*division, remainder > 0, *slot(p, a, i - 1, f)], p == q + 1, "v(i - 1) = (q + 1)a if r > 0")
    moved = for_all([*division, remainder == 0, *slot(p, a, i - 1, f)], p == q, "v(i - 1) = qa = i - 1 - f if r = 0")
    return f"i - 1 - f = qa + r: {after}; {rested}; {moved}"


def _takes_over(divides: bool = True, loose: bool = False, later: int = 0) -> str:
    """If slot ``k + 1`` moves from ``i - 1`` to ``i``, its new value is slot ``k``'s previous one.

    ``q`` counts the periods passed: ``i - 1 - f(k+1) = q·a_{k+1}``, and ``q = 0`` is the slot's first step, where
    it had no value before. With ``a_{k+1} = c·a_k`` the products are linear in the quotients ``q·c`` and ``p``.
    """
    a, c, gap, f, i, q, p, following = z3.Ints("a_k c gap f_k i q p a_next")
    premises = [a >= 1, gap >= 1, f >= 1, q >= 0, gap <= following]
    premises += [following <= gap + a if loose else following < gap + a]
    premises += [c >= 1, following == c * a] if divides else [following >= 1]
    premises += [i - 1 - (f + gap) == q * following]
    premises += slot(p, a, i - 1 + later, f)
    return for_all(premises, q * following + following == p * a, "v_(k+1)(i) = v_k(i - 1) when slot k + 1 moves")


def _predecessor_exists(strict: bool = True) -> str:
    """A slot in use at ``i`` had its predecessor in use at ``i - 1``, and if it rests it was in use itself."""
    f, following, i = z3.Ints("f_k f_next i")
    premises = [f >= 1, f < following if strict else f <= following, following < i]
    text = for_all(premises, f < i - 1, "f(k+1) < i gives f(k) < i - 1")
    a, q, remainder = z3.Ints("a q r")
    rests = [a >= 1, following < i, i - 1 - following == q * a + remainder, remainder > 0, remainder < a]
    return f"{text}; {for_all(rests, following < i - 1, 'a slot that rests existed')}"


def _newest(first: int = 1, period: int = 1) -> str:
    """Slot 0 is the newest position, or keeps its value: ``v_0(i) ∈ {i - 1, v_0(i - 1)}``."""
    i, p, before = z3.Ints("i p before")
    value, a = z3.IntVal(first), z3.IntVal(period)
    premises = [i > first, *slot(p, a, i, value), *slot(before, a, i - 1, value)]
    claim = z3.Or(p * a == i - 1, z3.And(p == before, i - 1 > first))
    return for_all(premises, claim, f"f(0) = {first}, a_0 = {period}: slot 0 reads i - 1 or rests")


def _causal(first_period: int = 1) -> str:
    """``a_k ≤ f(k)`` by induction on ``k``, hence ``1 ≤ v_k(i) ≤ i - 1``."""
    a, f, gap, following, p, i = z3.Ints("a f gap a_next p i")
    base = for_all([f >= 1, a == first_period, f == 1], a <= f, "base a_0 ≤ f(0)")
    premises = [a >= 1, gap >= 1, a <= f, following < gap + a]
    induct = for_all(premises, following <= f + gap, "step a_(k+1) ≤ f(k+1)")
    use = for_all([a >= 1, a <= f, f < i, *slot(p, a, i, f)], z3.And(p * a >= 1, p * a <= i - 1), "1 ≤ v_k(i) ≤ i - 1")
    return f"{base}; {induct}; {use}"


def _ordered() -> str:
    """``v_{k+1}(i) ≤ v_k(i)``: slots are ordered, and may coincide."""
    a, c, gap, f, i, p, q = z3.Ints("a c gap f i p q")
    premises = [a >= 1, c >= 1, gap >= 1, f >= 1, gap <= c * a, c * a < gap + a]
    premises += slot(p, a, i, f) + slot(q, c * a, i, f + gap)
    return for_all(premises, q * (c * a) <= p * a, "v_(k+1)(i) ≤ v_k(i)")


def _fails_without_one(allow_one: bool = False) -> str:
    """For every ``f(0) ≥ 2`` the containment breaks, first at ``i = f(0) + 1``: position 1 is neither kept nor new."""
    f, later, i, p = z3.Ints("f_0 f_k i p")
    premises = [f >= (1 if allow_one else 2), i == f + 1, *slot(p, z3.IntVal(1), i, f)]
    breaks = for_all(premises, z3.And(p == 1, p != i - 1), "f(0) ≥ 2: S_(f(0)+1) holds 1, and i - 1 is not 1")
    empty = for_all([f >= 2, later >= f, i <= f], z3.Not(later < i), "S_i is empty up to i = f(0)")
    return f"{breaks}; {empty}"


def _repaired_period(error: int = 0) -> str:
    """With ``a_0 = f(0)``, slot 0 rests or becomes ``i - 1`` for every ``f(0) ≥ 1``; ``a_0 ≤ f(0)`` still holds."""
    f, a, i, q = z3.Ints("f_0 a_0 i q")
    premises = [f >= 1, a >= 1, a == f + error, i > f]
    rests = _before_and_after(premises, a, f, i)
    moves = for_all([*premises, i - 1 - f == q * a], q * a + a == i - 1, "when slot 0 moves it becomes i - 1")
    base = for_all([f >= 1, a == f + error], z3.And(a >= 1, a <= f), "base 1 ≤ a_0 ≤ f(0)")
    return f"{rests}; {moves}; {base}"


def _repaired_delay(delay: int = 0) -> str:
    """With ``a_0 = 1``, slot 0 is ``i - f(0)``: it waits ``f(0) - 1`` steps before it is read.

    So ``S_i ⊆ S_{i-1} ∪ {i - f(0)}``, and ``S_i ∪ W_i`` with the waiting ``W_i = {i - f(0) + 1, …, i - 1}`` is
    cache-efficient. It is the pattern of ``g = f - f(0) + 1``, which starts at 1, read ``f(0) - 1`` steps later.
    """
    f, i, p, s, fk = z3.Ints("f_0 i p s f_k")
    newest = for_all([f >= 1, i > f, *slot(p, z3.IntVal(1), i, f)], p == i - f + delay, "v_0(i) = i - f(0)")
    waits = z3.And(i - f + 1 <= s, s <= i - 1)
    waited = z3.And(i - 1 - f + 1 <= s, s <= i - 2)
    kept = for_all(
        [f >= 1, i >= 2, z3.Or(waits, s == i - f)], z3.Or(waited, s == i - 1), "W_i ∪ {i - f(0)} ⊆ W_(i-1) ∪ {i - 1}"
    )
    shifted, g = i - f + 1, fk - f + 1
    shift = for_all([f >= 1, fk >= f, i >= 1], z3.And(shifted - g == i - fk, (g < shifted) == (fk < i)), "a shift of g")
    return f"{newest}; {kept}; {shift}"


def _distinct_counts(function: object = 2**k) -> str:
    """Where slots are disjoint the size is the count; squares are the case where it is smaller."""
    pattern, exact = glm.CacheEfficient(function), glm.Offsets(function)
    for t in range(400):
        have, want = pattern.in_degree(t), exact.in_degree(t)
        require(have == want, f"{pattern!r} reads {have} positions at t = {t}, {want} slots are in use: they coincide")
    return f"{pattern!r}: as many sources as slots at every t < 400"


def _containment() -> str:
    """Every strictly increasing list: which variant is cache-efficient."""
    lists = list(_closed_form.increasing_lists(LARGEST_LISTED))
    for f in lists:
        length = 3 * max(_closed_form.periods(f, f[0])) + f[-1]
        broken = _closed_form.first_escape(f, length)
        expected = None if f[0] == 1 else f[0] + 1
        require(broken == expected, f"f = {list(f)}: the containment first breaks at i = {broken}, not {expected}")
        require(_closed_form.first_escape(f, length, first=f[0]) is None, f"a_0 = f(0) fails for f = {list(f)}")
        require(_closed_form.first_escape(f, length, newest=f[0]) is None, f"the delayed form fails for f = {list(f)}")
    for f in _closed_form.increasing_lists(6):
        for i in range(f[0] - 1, 40):
            live = set().union(*(_closed_form.sources(f, j) for j in range(i + 1, i + f[-1] + 1))) & set(
                range(1, i + 1)
            )
            size = len(_closed_form.sources(f, i + 1)) + f[0] - 1
            require(len(live) == size, f"delayed form of f = {list(f)}: {len(live)} rows are live after step {i}")
    for f in (2**k, k**2 + 1, k + 1, 3**k):
        values = [int(f.subs(k, index)) for index in range(400)]
        values = values[: sum(value < 400 for value in values)]
        for t in range(399):
            form = {i - 1 for i in _closed_form.sources(values, t + 1)}
            require(set(glm.CacheEfficient(f).sources(t)) == form, f"CacheEfficient({f}) differs at t = {t}")
    squares, exact = glm.CacheEfficient(k**2 + 1), glm.Offsets(k**2 + 1)
    first = next(t for t in range(400) if squares.in_degree(t) < exact.in_degree(t))
    return (
        f"{len(lists)} lists of integers up to {LARGEST_LISTED}, three variants each; glm.CacheEfficient equals the "
        f"form for four f at t < 399; slots of k² + 1 first coincide at step i = {first + 1} (t = {first})"
    )


PROPOSITION = Proposition(
    number=7,
    title="Cache-efficient pattern",
    statement=(
        "With a_0 = 1 and a_(k+1) = a_k ⌈(f(k+1) - f(k))/a_k⌉, the sets S_i = {a_k ⌈(i - f(k))/a_k⌉ : f(k) < i} "
        "satisfy S_i ⊆ S_(i-1) ∪ {i - 1} for every strictly increasing f with f(0) = 1, and for no other. Repaired for "
        "f(0) ≥ 1: (a) start at a_0 = f(0), and the same containment holds; (b) keep a_0 = 1, and "
        "S_i ⊆ S_(i-1) ∪ {i - f(0)}, at a cache of |S_(i+1)| + f(0) - 1 rows after step i ≥ f(0) - 1."
    ),
    assumptions=("f: N → N_{>0} strictly increasing", "positions and steps i are 1-based (i = t + 1)"),
    steps=(
        step("v_k(i) is well defined", "smt", _well_defined),
        step("periods divide each other and bound the gaps", "smt", _periods),
        step("slots rest or move by their period", "smt", _rests),
        step("a slot that moves takes over its predecessor's value", "smt", _takes_over),
        step("the predecessor exists", "smt", _predecessor_exists),
        step("slot 0 reads i - 1 when f(0) = 1", "smt", _newest),
        step("every value is an earlier position", "smt", _causal),
        step("slots are ordered, so |S_i| ≤ #{k : f(k) < i}", "smt", _ordered),
        step("it fails for every f(0) ≥ 2", "smt", _fails_without_one),
        step("repair (a): a_0 = f(0)", "smt", _repaired_period),
        step("repair (b): a delay of f(0) - 1 steps", "smt", _repaired_delay),
        step("all small f, three variants", "enumeration", _containment, illustration=True),
        step("slots of 2^k never coincide below 400", "enumeration", _distinct_counts, illustration=True),
    ),
    mutations={
        "f(0) = 2, hypothesis dropped": lambda: _newest(first=2),
        "periods rounded down": lambda: _periods(rounded="down"),
        "a_k need not divide a_(k+1)": lambda: _takes_over(divides=False),
        "a_(k+1) ≤ gap + a_k": lambda: _takes_over(loose=True),
        "slot k's new value instead of its previous one": lambda: _takes_over(later=1),
        "f only non-decreasing": lambda: _predecessor_exists(strict=False),
        "a_0 = 2 with f(0) = 1": lambda: _causal(first_period=2),
        "it fails for f(0) = 1 too": lambda: _fails_without_one(allow_one=True),
        "repair with a_0 = f(0) + 1": lambda: _repaired_period(error=1),
        "repair with a_0 = f(0) - 1": lambda: _repaired_period(error=-1),
        "delay off by one": lambda: _repaired_delay(delay=1),
        "|S_i| = #{k : f(k) < i} for k² + 1": lambda: _distinct_counts(k**2 + 1),
    },
    argument=(
        "take v ∈ S_i from slot k. If k ≥ 1 it rests (then v = v_k(i - 1) ∈ S_(i-1)) or moves (then v = v_(k-1)(i - 1) "
        "∈ S_(i-1)); slot 0 gives i - 1, or in repair (a) rests or gives i - 1, or in (b) gives i - f(0). No step "
        "after the second uses f(0) but the ones that name it; (b)'s cache is what steps after i read, S_(i+1), and "
        "the f(0) - 1 positions still waiting."
    ),
)
