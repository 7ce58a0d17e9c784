"""Comparing mixers: every change of regime, against brute force."""

import json
import random
from typing import Any

import pytest
import sympy

import glmix_theory as glm
from glmix_theory import cli, k
from glmix_theory.analysis.comparison import changes_enumerated, changes_on_grid, regime_of
from glmix_theory.errors import PatternError, SymbolicError, UnknownNameError

MIXERS = {
    "window": glm.Mixer(glm.Window(9)),
    "powers": glm.Mixer(recurrent=glm.Offsets(2**k)),
    "squares": glm.Mixer(recurrent=glm.Offsets(k**2 + 1)),
    "slots": glm.Mixer(recurrent=glm.CacheEfficient(2**k)),
    "blocks": glm.Mixer(glm.Blocks(7)),
}


def counted_step_cost(mixer: glm.Mixer, length: int) -> int:
    """Most edges into any output t < length, from the pattern's own positions."""
    return max(sum(len(list(p.sources(t))) for p in (mixer.direct, mixer.recurrent)) for t in range(length))


@pytest.mark.parametrize("longest", [1, 2, 160])
def test_step_cost_changes_equal_brute_force(longest: int) -> None:
    comparison = glm.compare(MIXERS, ["step_cost"], longest=longest)
    counts = {name: [counted_step_cost(m, at) for at in range(1, longest + 1)] for name, m in MIXERS.items()}
    assert len(comparison.crossovers) == 10
    for crossover in comparison.crossovers:
        first, second = counts[crossover.first], counts[crossover.second]
        signs = [(a > b) - (a < b) for a, b in zip(first, second, strict=True)]
        expected = [1, *(at + 1 for at in range(1, longest) if signs[at] != signs[at - 1])]
        assert crossover.lengths == expected
        assert [c.regime for c in crossover.changes] == [
            {-1: "first", 0: "equal", 1: "second"}[signs[at - 1]] for at in expected
        ]
        assert all(change.exact for change in crossover.changes)
        assert crossover.enumerated == crossover.looked_up_to == longest


def test_more_than_one_crossing_is_found() -> None:
    lengths = glm.compare(MIXERS, ["step_cost"], longest=200).crossover("step_cost", "powers", "blocks").lengths
    assert len(lengths) > 2


def test_beyond_the_enumerated_range_changes_are_real_and_labelled() -> None:
    pair = {"window": glm.Mixer(glm.Window(300)), "squares": glm.Mixer(recurrent=glm.Offsets(k**2 + 1))}
    near = glm.compare(pair, ["step_cost"], longest=2**17, enumerated=64).crossovers[0]
    far = [change for change in near.changes if not change.exact]
    assert far
    assert (near.enumerated, near.looked_up_to) == (64, 2**17)
    assert "grid" in near.range_text
    assert near.eventually == "first"
    full = glm.compare(pair, ["step_cost"], longest=2**17, enumerated=2**17).crossovers[0]
    assert [(c.n, c.regime) for c in near.changes] == [(c.n, c.regime) for c in full.changes]


def test_grid_changes_on_drawn_regimes() -> None:
    drawn = random.Random(5)
    for _ in range(200):
        regimes = [drawn.choice(["first", "second", "equal"])]
        while len(regimes) < 128:
            regimes.append(regimes[-1] if drawn.random() < 0.95 else drawn.choice(["first", "second", "equal"]))
        every = changes_enumerated(regimes)
        found = changes_on_grid(lambda at, seen=regimes: seen[at - 1], 16, 128)  # type: ignore[misc]
        assert {(c.n, c.regime) for c in found} <= {(c.n, c.regime) for c in every}
        last = found[-1].regime if found else regimes[15]
        assert last == regimes[-1]


def test_counted_quantities_are_not_looked_at_beyond_the_enumerated_range() -> None:
    predicate = glm.Mixer(glm.Predicate(lambda t, s: (t * s) % 3 == 0))
    crossover = glm.compare([predicate, MIXERS["window"]], ["step_cost"], enumerated=32).crossovers[0]
    assert crossover.looked_up_to == 32
    assert crossover.eventually is None


def test_regimes() -> None:
    bounds = glm.Bounds(2, 4)
    values: list[tuple[Any, Any, str]] = [
        (bounds, 5, "first"),
        (bounds, 1, "second"),
        (bounds, 4, "undecided"),
        (sympy.oo, sympy.oo, "equal"),
        (sympy.oo, 1, "second"),
    ]
    for first, second, regime in values:
        assert regime_of(first, second) == regime


def test_prints_renders_and_serialises() -> None:
    comparison = glm.compare([MIXERS["powers"], MIXERS["powers"], MIXERS["slots"]], longest=64)
    assert len(comparison.mixers) == 3
    assert "cheaper from" in str(comparison)
    assert "<table>" in comparison._repr_html_()
    data = json.loads(comparison.to_json())
    assert len(data["crossovers"]) == 9
    assert comparison.to_markdown().count("|---|") >= 2
    with pytest.raises(UnknownNameError, match="not compared"):
        comparison.crossover("distance", "a", "b")


def test_refusals() -> None:
    w = sympy.Symbol("w", integer=True, positive=True)
    with pytest.raises(PatternError, match="at least two"):
        glm.compare([MIXERS["window"]])
    with pytest.raises(PatternError, match="Mixer"):
        glm.compare({"a": MIXERS["window"], "b": glm.Window(3)})  # type: ignore[dict-item]
    with pytest.raises(SymbolicError, match="symbols"):
        glm.compare({"a": MIXERS["window"], "b": glm.Mixer(glm.Window(w))})
    with pytest.raises(UnknownNameError, match="step_cost"):
        glm.compare(MIXERS, ["step_cst"])


def test_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["glmix", "compare", "attention", "2**k", "--longest", "64", "--json"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    assert [c["quantity"] for c in json.loads(capsys.readouterr().out)["crossovers"]] == [
        "step_cost",
        "total_cost",
        "cache_size",
    ]
    monkeypatch.setattr("sys.argv", [*arguments[:-1], "--quantity", "step_cost"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "cheaper from" in capsys.readouterr().out
