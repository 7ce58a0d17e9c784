"""Symbolic parameters: the formula with numbers put in equals the numeric report, and both the count."""

from __future__ import annotations

import itertools

import pytest
import sympy

import glmix_theory as glm
from glmix_theory.errors import SymbolicError
from glmix_theory.notation import n
from tests import brute_force as brute
from tests.complexity.counts import check_mixer

w, s, b, g, r = sympy.symbols("w s b g r", integer=True, positive=True)

MIXERS = {
    "window": (glm.Mixer(glm.Window(w)), [w], lambda w: (brute.window(w), None)),
    "band": (
        glm.Mixer(glm.Diagonal(), glm.Lags.band(r)),
        [r],
        lambda r: (brute.diagonal(), brute.lags(range(1, r + 1))),
    ),
    "stride": (glm.Mixer(glm.Strided(s)), [s], lambda s: (brute.strided(s), None)),
    "strict stride": (
        glm.Mixer(glm.Diagonal(), glm.Strided(s).strict()),
        [s],
        lambda s: (brute.diagonal(), brute.strict(brute.strided(s))),
    ),
    "blocks": (glm.Mixer(glm.Blocks(b)), [b], lambda b: (brute.blocks(b), None)),
    "globals": (glm.Mixer(glm.GlobalTokens(g)), [g], lambda g: (brute.global_tokens(g), None)),
    "sinks": (
        glm.Mixer(glm.Window(w) | glm.GlobalTokens(g), state=3),
        [w, g],
        lambda w, g: (brute.union(brute.window(w), brute.global_tokens(g)), None),
    ),
    "sparse": (
        glm.Mixer(glm.Window(w) | glm.Strided(s)),
        [w, s],
        lambda w, s: (brute.union(brute.window(w), brute.strided(s)), None),
    ),
    "window and band": (
        glm.Mixer(glm.Window(w), glm.Lags.band(r)),
        [w, r],
        lambda w, r: (brute.window(w), brute.lags(range(1, r + 1))),
    ),
    "blocked recurrence": (
        glm.Mixer(glm.Diagonal(), glm.Blocks(b).strict()),
        [b],
        lambda b: (brute.diagonal(), brute.strict(brute.blocks(b))),
    ),
}


@pytest.mark.parametrize("name", MIXERS)
def test_substitution_gives_the_numeric_report(name: str) -> None:
    mixer, symbols, definition = MIXERS[name]
    report = glm.analyze(mixer)
    for numbers in itertools.product((1, 2, 3, 7), repeat=len(symbols)):
        values = dict(zip(symbols, numbers))
        numeric = mixer.subs(values)
        assert not numeric.free_symbols
        direct, outputs = definition(*numbers)
        reads = [] if outputs is None else [outputs]
        check_mixer(numeric, [direct], reads, reads, range(1, 31), 70, {1, 2, 3, 8, 30})
        for quantity in report:
            assert quantity.status == "proved"
            again = quantity.subs(values)
            for length in (1, 2, 3, 4, 7, 8, 15, 30):
                assert quantity.expr.subs(n, length).subs(values) == again.at(length), (values, length)
                assert quantity.expr.subs(values).subs(n, length) == again.at(length)
        if all(number > 1 for number in numbers):
            theta = report.step_cost.subs(values).theta
            assert sympy.simplify(report.step_cost.theta.subs(values) / theta).is_number


def test_reports_of_symbols_print_and_substitute() -> None:
    report = glm.analyze(glm.Mixer(glm.Window(w) | glm.GlobalTokens(g)))
    assert report.step_cost.expr == sympy.Min(n, g + w)
    assert "Min" in str(report)
    assert report.to_dict()["quantities"]["step_cost"]["values"]["64"] == "Min(64, g + w)"
    assert "min" in report._repr_html_()
    numeric = report.subs({w: 16, g: 4})
    assert numeric.cache_size.at(100) == 19
    assert any("Piecewise" in step for step in report.step_cost.evidence)


@pytest.mark.parametrize(
    "pattern", [glm.Window(w), glm.Strided(s), glm.Blocks(b), glm.GlobalTokens(g), glm.Lags.band(r)]
)
def test_positions_are_refused_by_name(pattern: glm.Pattern) -> None:
    for ask in (
        lambda: pattern.sources(3),
        lambda: pattern.rows(0, 4),
        lambda: pattern.to_dense(4),
        lambda: pattern.to_csr(4),
        lambda: pattern.in_degree(2),
        lambda: (pattern | glm.Window(2)).sources(3),
        lambda: pattern.strict().rows(0, 2),
        lambda: glm.SlotPlan(glm.Mixer(pattern)).peak(4),
        lambda: glm.complexity.horizon_cache_size(glm.Mixer(pattern)),
    ):
        with pytest.raises(SymbolicError, match="subs"):
            ask()


@pytest.mark.parametrize(
    "make", [lambda: glm.Window(sympy.Symbol("w")), lambda: glm.Blocks(w + 1), lambda: glm.Strided(n)]
)
def test_symbols_must_be_positive_integers(make: object) -> None:
    with pytest.raises(SymbolicError):
        make()  # type: ignore[operator]


def test_what_has_no_rule_is_refused() -> None:
    for mixer in (
        glm.Mixer(glm.Window(w) | glm.Offsets(2**glm.k)),
        glm.Mixer(glm.Blocks(b), glm.Lags.band(r)),
        glm.Mixer(glm.Window(w) @ glm.Window(2)),
    ):
        with pytest.raises(SymbolicError):
            glm.complexity.step_cost(mixer)
