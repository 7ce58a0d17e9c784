"""``verify`` holds when formulas, counts and execution agree, and fails with a counterexample when not."""

import dataclasses
import json

import pytest
import sympy

import glmix_theory as glm
from glmix_theory import k
from glmix_theory.errors import ClaimError, FormulaError, LengthError
from glmix_theory.verify import parse_claim
from glmix_theory.verify.counting import count

MIXERS = [
    glm.Mixer(direct=glm.Dense()),
    glm.Mixer(direct=glm.Window(3) | glm.GlobalTokens(2)),
    glm.Mixer(recurrent=glm.CacheEfficient(2**k)),
    glm.Mixer(recurrent=glm.CacheEfficient(k**2 + 1)),
    glm.Mixer(recurrent=glm.Fenwick(), readout=glm.FenwickPrefix()),
    glm.Mixer(direct=glm.Empty()),
    glm.Mixer(direct=glm.Blocks(3), recurrent=glm.Explicit([(5, 1), (9, 5)])),
    glm.Mixer(direct=glm.Predicate(lambda t, s: (t + s) % 3 == 0), recurrent=glm.RandomSources(2, seed=1)),
]


@pytest.mark.parametrize("mixer", MIXERS, ids=repr)
def test_every_check_holds(mixer: glm.Mixer) -> None:
    verification = glm.verify(mixer, range(1, 20))
    assert verification.ok, verification.counterexample
    assert verification.notes == ()
    subjects = {check.subject for check in verification.checks}
    assert {"step_cost", "total_cost", "cache_size", "depth", "distance"} < subjects
    executed = [check for check in verification.checks if check.subject == "cache_size"]
    assert all({"rows held", "rows allocated", "count", "report"} <= set(check.values) for check in executed)


@pytest.mark.parametrize("name", glm.catalogue.names())
def test_every_catalogue_entry_is_executed(name: str) -> None:
    verification = glm.verify(glm.catalogue[name], (1, 2, 3, 17, 33))
    assert verification.ok, verification.counterexample
    assert verification.notes == ()


def _with_wrong(report: glm.Report, name: str, **changes: object) -> glm.Report:
    wrong = dataclasses.replace(report[name], **changes)
    return dataclasses.replace(report, quantities={**report.quantities, name: wrong})


@pytest.mark.parametrize("name", ["step_cost", "total_cost", "cache_size", "depth", "distance"])
def test_a_formula_that_is_off_by_one_is_caught(name: str) -> None:
    mixer = glm.Mixer(recurrent=glm.Offsets(2**k))
    report = glm.analyze(mixer)
    verification = glm.verify(mixer, range(1, 9), report=_with_wrong(report, name, expr=report[name].expr + 1))
    assert not verification.ok
    assert verification.counterexample is not None
    assert (verification.counterexample.subject, verification.counterexample.length) == (name, 1)


def test_a_value_wrong_at_one_length_is_the_counterexample() -> None:
    mixer = glm.Mixer(recurrent=glm.CacheEfficient(2**k))
    report = glm.analyze(mixer)
    truth = report.cache_size.evaluate
    wrong = _with_wrong(report, "cache_size", evaluate=lambda length: truth(length) + (length == 7))
    verification = glm.verify(mixer, range(1, 12), report=wrong)
    assert verification.counterexample is not None
    assert str(verification.counterexample).startswith("cache_size at n = 7: report 4, formula 3, count 3")


def test_a_layer_that_applies_another_term_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    from glmix_theory.verify import verification as module

    honest = module.execute

    def lying(mixer: glm.Mixer, lengths: tuple[int, ...]) -> object:
        execution = honest(mixer, lengths)
        assert not isinstance(execution, str)
        return dataclasses.replace(execution, rows=[rows + 1 for rows in execution.rows])

    monkeypatch.setattr(module, "execute", lying)
    assert not glm.verify(MIXERS[2], range(1, 4)).ok


def test_claims() -> None:
    mixer = glm.Mixer(recurrent=glm.CacheEfficient(2**k))
    good = ["cache_size <= log(n, 2) + 1", "step_cost == ceiling(log(n, 2)) + 1", "depth >= n", "distance < n"]
    assert glm.verify(mixer, range(1, 34), good).ok
    bad = glm.verify(mixer, range(1, 34), ["cache_size < log(n, 2) + 1"])
    assert bad.counterexample is not None
    assert bad.counterexample.length == 1


def test_a_claim_about_bounds_must_hold_for_all_they_allow() -> None:
    claim = parse_claim("cache_size <= 5")
    assert claim.holds(glm.Bounds(1, 5), 9)
    assert not claim.holds(glm.Bounds(1, 6), 9)
    assert not parse_claim("cache_size == 5").holds(glm.Bounds(5, 6), 9)
    assert not parse_claim("distance <= 100").holds(sympy.oo, 9)


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("cache <= 3", ClaimError, "'cache' in claim .* is not a quantity; did you mean 'cache_size'"),
        ("cache_size", ClaimError, "is not a claim; write QUANTITY RELATION FORMULA"),
        ("cache_size <= k", ClaimError, "contains k; only the length n may appear"),
        ("cache_size <= import os", FormulaError, "does not parse"),
    ],
)
def test_bad_claims_are_refused(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        glm.verify(MIXERS[0], [4], [text])


def test_bad_lengths_are_refused() -> None:
    with pytest.raises(LengthError, match="no lengths were given"):
        glm.verify(MIXERS[0], [])
    with pytest.raises(LengthError, match="n = 0 is below 1"):
        glm.verify(MIXERS[0], [0])


def test_what_was_not_run_is_said() -> None:
    verification = glm.verify(glm.Mixer(state=2), range(1, 6))
    assert verification.ok
    assert len(verification.notes) == 1
    assert "no layer was run" in verification.notes[0]
    assert "no layer was run" in str(verification)


def test_the_dictionary_is_json() -> None:
    data = json.loads(json.dumps(glm.verify(MIXERS[7], range(1, 6), ["distance <= n"]).to_dict()))
    assert data["mixer"] == repr(MIXERS[7])
    assert data["checks"][0]["values"]["count"] == 1


def test_counting_by_hand() -> None:
    """``y_t = x_t + y_(t-1) + y_(t-3)`` at five steps, worked out on paper."""
    counts = count(glm.Mixer(recurrent=glm.Lags([1, 3])), 5)
    assert counts.step_cost == [1, 2, 2, 3, 3]
    assert counts.total_cost == [1, 3, 5, 8, 11]
    assert counts.cache_size == [1, 2, 3, 3, 3]
    assert counts.depth == [1, 2, 3, 4, 5]


def test_formulas_are_exact_at_a_power_of_two() -> None:
    claim = parse_claim("step_cost <= log(n, 2) + 1")
    assert claim.holds(61, 2**60)
    assert not claim.holds(62, 2**60)
    assert claim.right_side(8) == 4
