"""The catalogue's derived costs beside the published ones."""

import json
from dataclasses import replace

import pytest
import sympy

import glmix_theory as glm
from glmix_theory import cli
from glmix_theory.report import stack_quantity
from glmix_theory.report.catalogue_table import (
    COLUMNS,
    REASONS,
    Row,
    catalogue_row,
    catalogue_rows,
    catalogue_table,
    verdict,
)


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return catalogue_rows()


def test_every_entry_and_stack_is_there(rows: list[Row]) -> None:
    assert [row.name for row in rows] == [*glm.catalogue, *glm.catalogue.stacks]


def test_every_disagreement_has_a_reason_and_only_those(rows: list[Row]) -> None:
    differing = {(row.name, q) for row in rows for q in COLUMNS if row.verdict(q) == "differs"}
    assert differing == set(REASONS)
    assert all(REASONS.values())


def test_nothing_published_is_left_undecided(rows: list[Row]) -> None:
    assert not [(row.name, q) for row in rows for q in COLUMNS if row.verdict(q) == "undecided"]


def test_a_wrong_published_class_is_flagged() -> None:
    right = catalogue_row("exponential_recurrence")
    wrong = replace(right, published={"cache_size": sympy.log(glm.n), "step_cost": sympy.log(glm.n)})
    assert wrong.verdict("cache_size") == "differs"
    assert wrong.verdict("step_cost") == "agrees"
    assert "differs" in wrong.cell("cache_size")
    caption = catalogue_table([wrong]).caption
    assert caption.startswith("1 of 2")
    assert "differs" in caption


def test_verdicts() -> None:
    n = glm.n
    assert verdict(sympy.oo, sympy.oo) == "agrees"
    assert verdict(n, sympy.oo) == "differs"
    assert verdict(sympy.sqrt(n), n) == "differs"
    assert verdict(n * sympy.log(n), n * sympy.log(n, 2)) == "agrees"


@pytest.mark.parametrize("name", ["griffin", "jamba", "kimi_linear"])
@pytest.mark.parametrize("quantity", COLUMNS)
def test_stack_costs_are_added_over_layers(name: str, quantity: str) -> None:
    stack = glm.catalogue.stacks[name]
    added = stack_quantity(stack, quantity)
    for at in (1, 2, 3, 17, 100, 10**6):
        total = sum(glm.analysis.QUANTITIES[quantity](layer).at(at) for layer in stack)
        assert added.at(at) == total
        if added.expr is not None:
            assert added.expr.subs(glm.n, at) == total
    grows = any("Dense" in repr(layer) for layer in stack)
    linear = {"step_cost": 0, "cache_size": 0, "total_cost": 1}[quantity]
    assert added.theta == glm.n ** (linear + grows)


def test_bounds_are_added() -> None:
    bigbird = glm.catalogue["bigbird"]
    stack = glm.catalogue.stacks["griffin"]
    mixed = type(stack)("mixed", (bigbird, glm.catalogue["attention"]))
    value = stack_quantity(mixed, "step_cost").at(2**16)
    one = glm.complexity.step_cost(bigbird).at(2**16)
    assert value == glm.Bounds(one.lower + 2**16, one.upper + 2**16)


def test_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = []
    for arguments in (["--all"], ["--all", "--json"]):
        monkeypatch.setattr("sys.argv", ["glmix", "table", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        assert not stop.value.code
        outputs.append(capsys.readouterr().out)
    assert "published Θ classes agree" in " ".join(outputs[0].split())
    data = json.loads(outputs[1])
    assert data["attention"]["quantities"]["step_cost"]["verdict"] == "agrees"
    assert (data["jamba"]["kind"], data["jamba"]["layers"]) == ("stack", 8)
