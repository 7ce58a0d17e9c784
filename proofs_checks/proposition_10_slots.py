"""Proposition 10: as many slots as the largest live set, and the greedy assignment attains it."""

from __future__ import annotations

import random

import z3

import glmix_theory as glm
from glmix_theory import k
from glmix_theory.complexity.lifetimes import live_profile
from proofs_checks._smt import for_all, impossible
from proofs_checks.framework import Proposition, require, step


def _pigeonhole(spare: int = 0) -> str:
    """``m + spare`` rows in different slots need ``m`` slots or more: induction on the number of slots ``c``.

    The step removes slot ``c``: the row that sat there moves to the slot of the last row, which is left out. So
    ``rows + 1`` rows in ``c + 1`` slots would leave ``rows`` in ``c``, down to a row without any slot.
    """
    slot = z3.Function("slot", z3.IntSort(), z3.IntSort())
    rows, c, r, s = z3.Ints("rows c r s")

    def injective(number: z3.ArithRef, slots: z3.ArithRef) -> list[z3.BoolRef]:
        within = z3.ForAll(r, z3.Implies(z3.And(r >= 0, r < number), z3.And(slot(r) >= 0, slot(r) < slots)))
        pair = z3.And(r >= 0, r < s, s < number)
        return [within, z3.ForAll([r, s], z3.Implies(pair, slot(r) != slot(s)))]

    base = impossible([rows >= 1, *injective(rows, z3.IntVal(0))], "base: one row in no slot")
    i, j = z3.Ints("i j")

    def moved(row: z3.ArithRef) -> z3.ArithRef:
        return z3.If(slot(row) == c, slot(rows), slot(row))

    premises = [rows >= 1, c >= 0, *injective(rows + 1, c + 1 + spare)]
    in_range = z3.Implies(z3.And(i >= 0, i < rows), z3.And(moved(i) >= 0, moved(i) < c))
    apart = z3.Implies(z3.And(i >= 0, i < j, j < rows), moved(i) != moved(j))
    induct = for_all(premises, z3.And(in_range, apart), "step: rows + 1 rows in c + 1 slots give rows in c slots")
    return f"{base}; {induct}"


def _never_shared(lowest_free: bool = True) -> str:
    """Giving a new row a slot that is free keeps live rows in different slots, and marks exactly theirs."""
    integer, boolean = z3.IntSort(), z3.BoolSort()
    live, held = z3.Function("live", integer, boolean), z3.Function("held", integer, boolean)
    slot = z3.Function("slot", integer, integer)
    r, s, new, chosen, i, j = z3.Ints("r s new chosen i j")
    marked = z3.ForAll(r, z3.Implies(live(r), held(slot(r))))
    different = z3.ForAll([r, s], z3.Implies(z3.And(live(r), live(s), r != s), slot(r) != slot(s)))
    premises = [marked, different, z3.Not(live(new)), i != j]
    premises += [z3.Not(held(chosen))] if lowest_free else []

    def live_after(row: z3.ArithRef) -> z3.BoolRef:
        return z3.Or(row == new, live(row))

    def slot_after(row: z3.ArithRef) -> z3.ArithRef:
        return z3.If(row == new, chosen, slot(row))

    def held_after(place: z3.ArithRef) -> z3.BoolRef:
        return z3.Or(place == chosen, held(place))

    claim = z3.And(
        z3.Implies(z3.And(live_after(i), live_after(j)), slot_after(i) != slot_after(j)),
        z3.Implies(live_after(i), held_after(slot_after(i))),
    )
    birth = for_all(premises, claim, "a birth into a free slot keeps live rows apart")
    still = z3.Implies(z3.And(live(i), i != new), z3.And(slot(i) != slot(new), held(slot(i))))
    return f"{birth}; {for_all([marked, different, live(new)], still, 'a death frees no slot of another live row')}"


def _greedy(reuse: bool = True, deaths_first: bool = True) -> str:
    """Invariant of left-edge over births and deaths: slots opened = largest live set so far."""
    opened, live, peak, opened_next, live_next = z3.Ints("opened live peak opened_next live_next")
    invariant = z3.And(opened == peak, live >= 0, live <= opened)
    start = for_all([opened == 0, live == 0, peak == 0], invariant, "start: no slot, no row")
    free = opened > live
    grows = z3.If(free, opened_next == opened, opened_next == opened + 1) if reuse else opened_next == opened + 1
    larger = z3.If(live_next > peak, live_next, peak)
    after = z3.And(opened_next == larger, live_next >= 0, live_next <= opened_next)
    birth = for_all([invariant, grows, live_next == live + 1], after, "birth")
    death = for_all([invariant, live >= 1, opened_next == opened, live_next == live - 1], after, "death")
    # A step whose new row takes over the place of one that dies in it: the order inside the step matters.
    during = live - 1 if deaths_first else live
    opened_then = z3.If(opened > during, opened, opened + 1)
    replaced = for_all([invariant, live >= 1], opened_then == peak, "a step with a death and a birth opens no slot")
    return f"{start}; {birth}; {death}; {replaced}"


def _plans() -> str:
    """The toolkit's plan against counted live rows, and greedy against the best assignment of random intervals."""
    mixers = [glm.Mixer(recurrent=glm.CacheEfficient(f)) for f in (2**k, k**2 + 1)]
    mixers += [glm.Mixer(recurrent=glm.Lags([1, 5])), glm.Mixer(recurrent=glm.Fenwick(), readout=glm.FenwickPrefix())]
    for mixer in mixers:
        plan = glm.SlotPlan(mixer)
        for n in (1, 2, 3, 16, 17, 64, 128):
            live = int(live_profile(mixer, n)[0].max())
            require(plan.peak(n) == live, f"{mixer!r}: {plan.peak(n)} slots for {live} live rows at n = {n}")
        for t in range(128):
            require(len(plan.occupied(t)) == plan.held(t), f"{mixer!r}: two live rows share a slot after step {t}")
    generator = random.Random(1)
    for _ in range(300):
        rows = sorted((birth := generator.randrange(12), birth + generator.randrange(1, 8)) for _ in range(9))
        peak = max(sum(birth <= moment < death for birth, death in rows) for moment in range(20))
        used = _left_edge(rows)
        require(used == peak, f"left-edge uses {used} slots for a largest live set of {peak}: {rows}")
    return f"{len(mixers)} plans at n ≤ 128; left-edge on 300 random interval sets uses exactly the largest live set"


def _left_edge(rows: list[tuple[int, int]]) -> int:
    """Slots the greedy assignment opens for rows ``(birth, death)`` sorted by birth."""
    slots: list[int] = []
    for birth, death in rows:
        free = [index for index, until in enumerate(slots) if until <= birth]
        if free:
            slots[free[0]] = death
        else:
            slots.append(death)
    return len(slots)


PROPOSITION = Proposition(
    number=10,
    title="Slots",
    statement=(
        "The fewest slots that hold every live row is the largest live set, and the greedy left-edge assignment "
        "(each new row takes a free slot, a new one only when none is free) uses exactly that many."
    ),
    assumptions=(
        "a row is stored from its step until the step that reads it last, without a gap, in one slot",
        "inside a step, rows read for the last time leave before the new row is stored",
    ),
    steps=(
        step("live rows in different slots need as many slots (pigeonhole)", "smt", _pigeonhole),
        step("greedy never lets two live rows share a slot", "smt", _never_shared),
        step("greedy opens as many slots as the largest live set", "smt", _greedy),
        step("the toolkit's plans", "enumeration", _plans, illustration=True),
    ),
    mutations={
        "one slot fewer than rows": lambda: _pigeonhole(spare=1),
        "a new row may take a slot in use": lambda: _never_shared(lowest_free=False),
        "slots are never reused": lambda: _greedy(reuse=False),
        "the new row is stored before dead rows leave": lambda: _greedy(deaths_first=False),
    },
    argument=(
        "rows live at one moment conflict pairwise, so any assignment needs the largest live set (the clique bound); "
        "greedy attains it, so the conflict graph of these intervals has chromatic number = clique number"
    ),
)
