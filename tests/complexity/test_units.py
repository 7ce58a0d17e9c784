"""Real units against brute force over steps, limits of the roofline, and named errors."""

from dataclasses import replace

import pytest
import sympy

import glmix_theory as glm
from glmix_theory.complexity import units
from glmix_theory.complexity.quantity import Bounds
from glmix_theory.errors import CoefficientError, GlmixError, LengthError, SymbolicError, UnknownNameError

k = glm.k

MIXERS = {
    "dense": glm.Mixer(direct=glm.Dense()),
    "powers": glm.Mixer(recurrent=glm.CacheEfficient(2**k)),
    "offsets": glm.Mixer(direct=glm.Window(3), recurrent=glm.Offsets(2**k)),
    "lags": glm.Mixer(recurrent=glm.Lags([2, 5])),
    "readout": glm.Mixer(recurrent=glm.Lags([1]), readout=glm.Window(3)),
    "log_linear": glm.Mixer(recurrent=glm.Fenwick(), readout=glm.FenwickPrefix()),
    "different_peaks": glm.Mixer(direct=glm.Blocks(4), recurrent=glm.Explicit([(1, 0), (4, 0), (4, 1), (4, 3)])),
    "state": glm.Mixer(recurrent=glm.Lags([1]), readout=glm.Diagonal(), state=3),
    "empty": glm.Mixer(direct=glm.Empty()),
}
KINDS = ("scalar", "diagonal", "householder", "dense block")


@pytest.fixture(params=MIXERS.values(), ids=MIXERS.keys())
def mixer(request):
    return request.param


def row_flops(part, kind, d, r, backward):
    """Multiply-adds of one weighted row, from its definition, times two."""
    if part != "recurrent" or kind in ("scalar", "diagonal"):
        return 2 * r * d * (2 if backward else 1)
    if kind == "dense block":
        return 2 * r * r * d * (2 if backward else 1)
    row = 2 * r * d + d + r * d + 2 * r * d
    return row + 2 * d + 4 * r * d if backward else row


def brute_force(mixer, n, d, heads, r, kind, phase):
    backward = phase == "backward"
    steps = []
    for t in range(n):
        step = 0
        for part, pattern in mixer.parts.items():
            each = (4 if backward else 2) * d + row_flops(part, kind, d, r, backward)
            step += len(list(pattern.sources(t))) * each
        steps.append(heads * step)
    return max(steps) if phase == "decode" else sum(steps)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("phase", units.PHASES)
def test_flops_equal_a_count_over_steps(mixer, phase, kind):
    for n in (1, 2, 5, 8, 33):
        for r in (None, 4):
            found = units.flops(mixer, phase, d=6, heads=2, r=r, coefficient_kind=kind, at=n)
            assert found == brute_force(mixer, n, 6, 2, r or mixer.state, kind, phase)


NO_CLOSED_FORM = {("log_linear", "decode"), ("different_peaks", "decode")}
"""Where parts of unequal weight may peak at different steps."""


@pytest.mark.parametrize("name", MIXERS)
@pytest.mark.parametrize("phase", units.PHASES)
def test_the_closed_form_equals_the_value_at_a_length(name, phase):
    mixer, options = MIXERS[name], {"coefficient_kind": "dense block", "r": units.r}
    if (name, phase) in NO_CLOSED_FORM:
        with pytest.raises(LengthError, match="at=n"):
            units.flops(mixer, phase, **options)
        return
    form = sympy.sympify(units.flops(mixer, phase, **options))
    for n in (1, 2, 7, 40):
        numbers = {glm.n: n, units.d: 5, units.h: 3, units.r: 2}
        exact = units.flops(mixer, phase, d=5, heads=3, r=2, coefficient_kind="dense block", at=n)
        assert form.subs(numbers) == exact


def test_parts_that_peak_apart_are_not_added():
    mixer = MIXERS["different_peaks"]
    with pytest.raises(LengthError, match="at=n"):
        units.flops(mixer, "decode", coefficient_kind="dense block", r=4)
    apart = units.flops(mixer, d=1, heads=1, coefficient_kind="dense block", r=4, at=5)
    direct, recurrent = (
        units.term_flops(part, "dense block", "decode", sympy.Integer(1), sympy.Integer(4)) for part in mixer.parts
    )
    assert apart < 4 * direct + 3 * recurrent


def test_softmax_flops_are_four_d_per_term_and_twice_that_backward(mixer):
    mixer = replace(mixer, state=1)
    report = glm.analyze(mixer)
    for n in (1, 10, 100):
        assert report.flops("forward", d=3, heads=2, at=n) == 4 * 3 * 2 * report.total_cost.at(n)
        assert report.flops("prefill", d=3, heads=2, at=n) == 4 * 3 * 2 * report.total_cost.at(n)
        assert report.flops("backward", d=3, heads=2, at=n) == 8 * 3 * 2 * report.total_cost.at(n)
        assert report.flops(d=3, heads=2, at=n) == 4 * 3 * 2 * report.step_cost.at(n)


def test_one_step_holds_at_large_lengths():
    report = glm.analyze(MIXERS["powers"])
    assert report.cache_bytes(d=64, heads=8, at=10**12) == 40 * 2 * 64 * 8 * 2
    assert report.cache_bytes(d=64, heads=8, dtype="float32", keys=False, at=10**12) == 40 * 64 * 8 * 4


def test_bounds_stay_bounds():
    mixer = glm.Mixer(recurrent=glm.Predicate(lambda t, s: s < t and s % 3 == 0 and t % 2 == 0))
    rows = glm.analyze(mixer).cache_size.at(12)
    assert isinstance(rows, Bounds)
    assert units.cache_bytes(mixer, d=2, heads=1, at=12) == Bounds(8 * rows.lower, 8 * rows.upper)
    with pytest.raises(LengthError, match="no closed form"):
        units.cache_bytes(mixer)


def test_symbolic_parameters_of_the_pattern():
    w = sympy.Symbol("w", integer=True, positive=True)
    form = units.flops(glm.Mixer(direct=glm.Window(w)), d=4, heads=2)
    assert form.subs({w: 3, glm.n: 100}) == 32 * 3


def test_written_rows_count_what_is_kept():
    row = 2 * 2 * 1 * 2
    both = glm.Mixer(direct=glm.Window(3), recurrent=glm.Lags([1]))
    assert units.decode_bytes(both, d=2, heads=1, at=50) == (4 + 2) * row
    assert units.decode_bytes(glm.Mixer(), d=2, heads=1, at=50) == row
    assert units.decode_bytes(MIXERS["empty"], d=2, heads=1, at=50) == 0


def test_roofline_sides_and_the_ridge():
    mixer = MIXERS["dense"]
    report = glm.analyze(mixer)
    assert report.arithmetic_intensity(at=9) == sympy.Rational(9, 10)
    assert report.roofline(units.Machine(9, 10), at=9) == "compute"
    assert report.roofline(units.Machine(9.01, 10), at=9) == "memory"
    assert units.arithmetic_intensity(MIXERS["empty"]) == 0
    blocked = glm.Mixer(recurrent=glm.Lags([1]), state=64)
    options = {"coefficient_kind": "dense block", "at": 100, "d": 64, "heads": 1}
    # Flops (2·64² + 2 + 2·64 + 2) · 64 over bytes (2 + 1) · 2 · 64 · 64 · 2: between 10 and 11.
    assert units.roofline(blocked, units.Machine(10, 1), **options) == "compute"
    assert units.roofline(blocked, units.Machine(11, 1), **options) == "memory"
    with pytest.raises(SymbolicError, match="depends on r"):
        units.roofline(blocked, units.Machine(1, 1), r=units.r, coefficient_kind="dense block", at=100)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda m: units.flops(m, "decod"), UnknownNameError, "'decode'"),
        (lambda m: units.flops(m, coefficient_kind="houseolder"), CoefficientError, "'householder'"),
        (lambda m: units.cache_bytes(m, dtype="bfloat"), UnknownNameError, "'bfloat16'"),
        (lambda m: units.decode_bytes(m, dtype="int8"), UnknownNameError, "dtype = 'int8'"),
        (lambda m: units.flops(m, d=0), LengthError, "d = 0"),
        (lambda m: units.flops(m, heads=glm.n), SymbolicError, "symbol of its own"),
        (lambda m: units.flops(m, at=0), LengthError, "n = 0"),
        (lambda m: units.Machine(0, 1), LengthError, "flops_per_second"),
    ],
)
def test_errors_are_named(call, error, text):
    with pytest.raises(error, match=text) as caught:
        call(MIXERS["dense"])
    assert isinstance(caught.value, GlmixError)
