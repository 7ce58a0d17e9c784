"""The slot plan: right size, right rows, nothing overwritten while it is still needed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import glmix_theory as glm
from glmix_theory import k
from glmix_theory.complexity.lifetimes import live_profile
from glmix_theory.complexity.slots import NO_SLOT, SlotPlan
from glmix_theory.errors import LengthError
from tests import brute_force
from tests.strategies import DrawnMixer, mixers

NAMED = {
    "attention": glm.Mixer(direct=glm.Dense()),
    "window": glm.Mixer(direct=glm.Window(5)),
    "first order": glm.Mixer(recurrent=glm.Lags([1]), state=4),
    "higher order": glm.Mixer(recurrent=glm.Lags([1, 2, 5])),
    "powers": glm.Mixer(recurrent=glm.Offsets(2**k)),
    "squares": glm.Mixer(recurrent=glm.Offsets(k**2 + 1)),
    "cache-efficient powers": glm.Mixer(recurrent=glm.CacheEfficient(2**k)),
    "cache-efficient squares": glm.Mixer(recurrent=glm.CacheEfficient(k**2 + 1)),
    "fenwick": glm.Mixer(recurrent=glm.Fenwick(), readout=glm.FenwickPrefix()),
    "window and globals": glm.Mixer(direct=glm.Window(4) | glm.GlobalTokens(2)),
    "both read the past": glm.Mixer(direct=glm.Window(3), recurrent=glm.CacheEfficient(2**k)),
    "readout of the past only": glm.Mixer(recurrent=glm.Lags([2]), readout=glm.Lags([3])),
    "blocks": glm.Mixer(direct=glm.Blocks(6), recurrent=glm.Blocks(4).strict()),
    "nothing": glm.Mixer(direct=glm.Empty()),
}


def step_as_data(plan: SlotPlan, t: int) -> tuple[object, ...]:
    step = plan.step(t)
    readout = None if step.readout_slots is None else step.readout_slots.tolist()
    slots = (step.direct_slots.tolist(), step.recurrent_slots.tolist(), readout)
    return (*slots, step.input_slot, step.output_slot, step.freed, step.held)


def decode(mixer: glm.Mixer, length: int) -> dict[int, tuple[str, int]]:
    """Run the plan on a memory of labels; every read must find the row it asked for."""
    plan = SlotPlan(mixer)
    memory: dict[int, tuple[str, int]] = {}
    for t in range(length):
        step = plan.step(t)
        reads = [
            ("input", mixer.direct, step.direct_slots),
            ("output", mixer.recurrent, step.recurrent_slots),
        ]
        if mixer.readout is not None:
            assert step.readout_slots is not None
            reads.append(("output", mixer.readout, step.readout_slots))
        else:
            assert step.readout_slots is None
        for kind, pattern, slots in reads:
            sources = pattern.sources(t)
            assert len(slots) == len(sources)
            for s, slot in zip(sources, slots.tolist()):
                if s == t:
                    assert slot == NO_SLOT
                else:
                    assert memory[slot] == (kind, s), (t, kind, s)
        for slot in step.freed:
            del memory[slot]
        for kind, slot in (("input", step.input_slot), ("output", step.output_slot)):
            if slot != NO_SLOT:
                assert slot not in memory, (t, slot)
                memory[slot] = (kind, t)
        assert step.held == len(memory) == plan.held(t)
        assert plan.occupied(t) == memory
    assert max(memory, default=-1) < max(plan.peak(length), 1)
    return memory


def slots_used(mixer: glm.Mixer, length: int) -> int:
    plan = SlotPlan(mixer)
    steps = [plan.step(t) for t in range(length)]
    return 1 + max(max(step.input_slot, step.output_slot) for step in steps)


@pytest.mark.parametrize("name", NAMED)
def test_reads_find_their_rows(name: str) -> None:
    decode(NAMED[name], 200)  # across two extensions of the plan


@pytest.mark.parametrize("name", NAMED)
def test_held_is_the_live_set_and_slots_are_minimal(name: str) -> None:
    mixer, length = NAMED[name], 200
    lower, upper = live_profile(mixer, length)
    plan = SlotPlan(mixer)
    assert np.array_equal(lower, upper)
    assert [plan.held(t) * mixer.state for t in range(length)] == lower.tolist()
    for n in (1, 2, 50, 64, 65, length):
        assert plan.peak(n) * mixer.state == lower[:n].max()
        assert slots_used(mixer, n) == plan.peak(n)


@given(mixers(), st.integers(1, 40))
def test_drawn_mixers_decode_from_their_slots(drawn: DrawnMixer, length: int) -> None:
    decode(drawn.mixer, length)


@settings(max_examples=40)
@given(mixers(max_leaves=2))
def test_drawn_mixers_decode_across_extensions(drawn: DrawnMixer) -> None:
    decode(drawn.mixer, 150)


@given(mixers(), st.integers(1, 30))
def test_drawn_mixers_hold_exactly_what_is_read_later(drawn: DrawnMixer, length: int) -> None:
    plan = SlotPlan(drawn.mixer)
    held = [plan.held(t) for t in range(length)]
    live = brute_force.live_sets(drawn.reads, length, 4 * length + 64)
    for t in range(length):
        assert held[t] >= len(live[t]), t  # never too few
        assert live[t] <= set(plan.occupied(t).values()), t
    planned = 64  # the plan looks this far before the first step
    lower, upper = live_profile(drawn.mixer, planned)
    if np.array_equal(lower, upper):  # the future is known: never too many either
        farther = brute_force.live_sets(drawn.reads, length, 12 * length + 200)
        assert held == [len(rows) for rows in farther]
        assert [set(plan.occupied(t).values()) for t in range(length)] == farther
        assert plan.peak(length) == max(map(len, farther)) == slots_used(drawn.mixer, length)


@settings(max_examples=40)
@given(mixers(max_leaves=2), st.integers(65, 150))
def test_extending_a_plan_changes_no_earlier_step(drawn: DrawnMixer, longer: int) -> None:
    plan = SlotPlan(drawn.mixer)
    plan.peak(1)
    before = [step_as_data(plan, t) for t in range(60)]
    occupied = [plan.occupied(t) for t in range(60)]
    peak = plan.peak(60)
    plan.step(longer)
    assert [step_as_data(plan, t) for t in range(60)] == before
    assert [plan.occupied(t) for t in range(60)] == occupied
    assert plan.peak(60) == peak
    at_once = SlotPlan(drawn.mixer)
    at_once.step(longer)
    assert [step_as_data(at_once, t) for t in range(longer)] == [step_as_data(plan, t) for t in range(longer)]


def test_a_predicate_keeps_what_might_be_read() -> None:
    """Nobody knows whether a function reads a row again: it stays, and reads still find their rows."""
    mixer = glm.Mixer(direct=glm.Predicate(lambda t, s: s < 3), recurrent=glm.Lags([1]))
    decode(mixer, 90)
    assert SlotPlan(mixer).held(40) >= 4


def test_rows_read_by_their_own_step_only_are_not_stored() -> None:
    step = SlotPlan(glm.Mixer(direct=glm.Diagonal(), recurrent=glm.Lags([1]))).step(5)
    assert step.direct_slots.tolist() == [NO_SLOT]
    assert step.input_slot == NO_SLOT
    assert step.output_slot == step.recurrent_slots[0] == 0
    assert step.freed == (0,)


def test_arrays_handed_out_are_copies() -> None:
    plan = SlotPlan(NAMED["squares"])
    before = step_as_data(plan, 20)
    plan.step(20).recurrent_slots[:] = 99
    assert step_as_data(plan, 20) == before


@given(mixers(), st.integers(0, 90), st.integers(1, 80))
@settings(max_examples=40)
def test_steps_at_once_are_the_steps(drawn: DrawnMixer, start: int, number: int) -> None:
    """Planned anew for each step, in any order, against a block that crosses the plan's own."""
    steps = SlotPlan(drawn.mixer).steps(start, start + number)
    plan = SlotPlan(drawn.mixer)
    for t in reversed(range(start, start + number)):
        step, i = plan.step(t), t - start
        assert steps.direct.of(i).tolist() == step.direct_slots.tolist()
        assert steps.recurrent.of(i).tolist() == step.recurrent_slots.tolist()
        if step.readout_slots is not None:
            assert steps.readout is not None
            assert steps.readout.of(i).tolist() == step.readout_slots.tolist()
        assert (steps.input_slots[i], steps.output_slots[i]) == (step.input_slot, step.output_slot)
        row = steps.recurrent.sources[steps.recurrent.indptr[i] : steps.recurrent.indptr[i + 1]]
        assert tuple(row.tolist()) == drawn.mixer.recurrent.sources(t)
        assert plan.freed(t) == step.freed
    assert plan.peak(start + number) == max(plan.held(t) for t in range(start + number))


def test_bad_positions() -> None:
    plan = SlotPlan(NAMED["window"])
    for ask in (plan.step, plan.held, plan.occupied):
        with pytest.raises(LengthError, match="t = -1 is below 0"):
            ask(-1)
        with pytest.raises(LengthError, match="not an integer"):
            ask(1.5)
    with pytest.raises(LengthError, match="n = 0 is below 1"):
        plan.peak(0)
