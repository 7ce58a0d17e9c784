"""Every proposition holds, and every wrong variant of it is caught."""

from __future__ import annotations

import doctest
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("z3", reason="the proofs need z3-solver (extra: proofs)")

from glmix_theory.errors import UnknownNameError
from glmix_theory.proofs import ProofsNotFoundError, proofs_folder, select
from proofs_checks import _blocks, _closed_form, _smt, framework
from proofs_checks.framework import ProofFailure, Proposition, UnfinishedProof, discover, load, prove, step

FILES = framework.proposition_files()
ALL_NUMBERS = range(1, 20)
EACH_FILE = pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])


@EACH_FILE
def test_every_step_holds(path: Path) -> None:
    outcome = prove(load(path))
    assert outcome.ok, "\n".join(outcome.failures)
    assert all(item.evidence for item in outcome.steps)


@EACH_FILE
def test_every_wrong_variant_is_caught(path: Path) -> None:
    proposition = load(path)
    assert proposition.mutations, f"{path.name} has no mutation, so nothing shows that its steps can fail"
    for name, mutation in proposition.mutations.items():
        with pytest.raises(ProofFailure) as caught:
            mutation()
        assert not isinstance(caught.value, UnfinishedProof), f"{name}: the solver gave up, which catches nothing"
        assert str(caught.value), f"{name} fails without saying why"


@EACH_FILE
def test_statement_assumptions_and_number_are_written_down(path: Path) -> None:
    proposition = load(path)
    assert f"{proposition.number:02}" in path.stem or str(proposition.number) in path.stem
    assert proposition.statement.strip()
    assert proposition.assumptions
    assert len({item.name for item in proposition.steps}) == len(proposition.steps)


def test_every_proposition_has_a_file() -> None:
    present = {proposition.number for proposition in discover()}
    missing = [number for number in ALL_NUMBERS if number not in present]
    assert not missing, f"no file states proposition {', '.join(map(str, missing))}"


# --- the framework itself -------------------------------------------------------------------------


def _proposition(*steps: framework.Step) -> Proposition:
    return Proposition(99, "title", "statement", ("nothing",), steps, {})


def _fails() -> str:
    raise ProofFailure("2 is not 3")


def test_status_is_that_of_the_weakest_step_that_carries_the_claim() -> None:
    proved, smt = step("a", "symbolic", lambda: "yes"), step("b", "smt", lambda: "yes")
    cited, checked = step("c", "cited", lambda: "yes"), step("d", "enumeration", lambda: "yes")
    picture = step("e", "enumeration", lambda: "yes", illustration=True)
    assert _proposition(proved, smt).status == "proved"
    assert _proposition(proved, cited).status == "cited"
    assert _proposition(proved, cited, checked).status == "checked"
    assert _proposition(proved, picture).status == "proved"
    with pytest.raises(ValueError, match="carries"):
        _proposition(picture)
    with pytest.raises(ValueError, match="illustration"):
        step("f", "smt", lambda: "yes", illustration=True)
    with pytest.raises(ValueError, match="none of"):
        step("g", "obvious", lambda: "yes")


@pytest.mark.parametrize(
    ("run", "message"),
    [
        (_fails, "2 is not 3"),
        (lambda: "", "instead of its evidence"),
        (lambda: None, "instead of its evidence"),
        (lambda: str(1 // 0), "ZeroDivisionError"),
    ],
    ids=["refuted", "empty", "none", "broken"],
)
def test_a_step_that_fails_breaks_or_says_nothing_never_passes(run, message: str) -> None:
    outcome = prove(_proposition(step("good", "smt", lambda: "yes"), step("bad", "smt", run)))
    assert not outcome.ok
    assert outcome.status == "FAILED"
    assert message in outcome.failures[0]
    assert outcome.to_dict()["status"] == "FAILED"
    assert "FAILS" in outcome.explain()


def test_a_file_without_a_proposition_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "empty_proofs"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "proposition_16_nothing.py").write_text("CLAIM = True\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(framework, "FOLDER", package)
    monkeypatch.setattr(framework, "__package__", "empty_proofs")
    with pytest.raises(ProofFailure, match="defines no PROPOSITION"):
        discover()


def test_the_solver_proves_refutes_gives_up_and_sees_contradictions(monkeypatch: pytest.MonkeyPatch) -> None:
    import z3

    x, y, p, q = z3.Ints("x y p q")
    assert _smt.for_all([x > 0], x >= 1, "integers") == "integers"
    with pytest.raises(ProofFailure, match="x = 1"):
        _smt.for_all([x > 0, x < 3], x == 2)
    with pytest.raises(ProofFailure, match="contradict"):
        _smt.for_all([x > 0, x < 0], x == 2)
    with pytest.raises(ProofFailure, match="possible after all"):
        _smt.impossible([x > 0], "nothing is positive")
    monkeypatch.setattr(_smt, "SECONDS", 0.05)
    hard = [x > 1, y > 1, p > 1, q > 1]
    with pytest.raises(UnfinishedProof, match="could not decide"):
        _smt.for_all(hard, x * x * x * x + y * y * y * y + p * p * p * p != q * q * q * q)


def test_block_identities_show_what_is_left_over() -> None:
    A, B = _blocks.matrices("A B")
    assert _blocks.same((A + B) ** 2, A**2 + A * B + B * A + B**2, name="square") == "square"
    with pytest.raises(ProofFailure, match="leaves"):
        _blocks.same((A + B) ** 2, A**2 + 2 * A * B + B**2)
    with pytest.raises(ProofFailure, match="do not come to an end"):
        _blocks.reduced(A, {A: A + B})


def test_doctests_of_the_helpers() -> None:
    for module in (framework, _smt, _closed_form, _blocks):
        assert doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE).failed == 0, module.__name__


# --- the command ----------------------------------------------------------------------------------


def _glmix(*arguments: str, directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "glmix_theory.cli", *arguments]
    environment = os.environ | {"PYTHONPATH": str(proofs_folder().parent), "PYTHONIOENCODING": "utf-8"}
    return subprocess.run(command, capture_output=True, text=True, cwd=directory, env=environment, check=False)


def test_command_prints_one_table_and_json(tmp_path: Path) -> None:
    text = _glmix("prove", "8", "12", directory=tmp_path)
    assert text.returncode == 0, text.stderr
    assert "Lag bound" in text.stdout
    assert "2 propositions: 2 proved" in text.stdout
    data = json.loads(_glmix("prove", "8", "--json", directory=tmp_path).stdout)
    assert [entry["number"] for entry in data] == [8]
    assert data[0]["status"] == "proved"
    assert all(entry["evidence"] and not entry["failure"] for entry in data[0]["steps"])
    assert "f(k) - a_k" in _glmix("prove", "8", "--explain", directory=tmp_path).stdout


def test_command_exits_1_when_a_proof_fails(tmp_path: Path) -> None:
    folder = tmp_path / "proofs_checks"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "framework.py").write_text((proofs_folder() / "framework.py").read_text(encoding="utf-8"), "utf-8")
    (folder / "proposition_01_wrong.py").write_text(
        "from proofs_checks.framework import ProofFailure, Proposition, step\n"
        "def wrong():\n    raise ProofFailure('one is not two')\n"
        "PROPOSITION = Proposition(1, 'Wrong', 'One is two', ('none',), (step('try', 'smt', wrong),), {})\n"
    )
    result = _glmix("prove", directory=tmp_path)
    assert result.returncode == 1, result.stderr
    assert "one is not two" in result.stdout
    assert "FAILED" in result.stdout
    (folder / "proposition_01_wrong.py").write_text("")
    result = _glmix("prove", directory=tmp_path)
    assert result.returncode != 0
    assert "defines no PROPOSITION" in result.stderr


def test_missing_folder_and_unknown_number_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from glmix_theory import proofs

    with pytest.raises(UnknownNameError, match="no proposition 99"):
        select(discover(), [99])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(proofs, "FOLDER_NAME", "nothing_here")
    with pytest.raises(ProofsNotFoundError, match="checkout"):
        proofs_folder()


# --- the page of corrections ----------------------------------------------------------------------

CORRECTIONS = proofs_folder().parent / "docs" / "corrections.md"


def test_every_line_of_the_corrections_runs() -> None:
    result = doctest.testfile(
        str(CORRECTIONS), module_relative=False, encoding="utf-8", optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert result.failed == 0
    assert result.attempted > 20


def test_numbers_in_the_table_of_corrections_are_the_computed_ones() -> None:
    table = CORRECTIONS.read_text(encoding="utf-8").split("```")[0]
    above = [lag for lag in range(1, 100) if 2 ** lag.bit_count() > lag]
    assert f"`ℓ = {above[0]}`: 1 hop" in table
    assert f"`ℓ = {', '.join(map(str, above[1:4]))}, …`" in table
    step_broken, f = min(
        (broken, f) for f in _closed_form.increasing_lists(5) if (broken := _closed_form.first_escape(f, 40))
    )
    position = min(_closed_form.sources(f, step_broken))
    assert f"`f(0) = {f[0]}`, step `i = {step_broken}`: reads position {position}," in table


@pytest.mark.parametrize("n", [1, 2])
def test_log_linear_attention_on_two_tokens_fits_the_prefix_path(n: int) -> None:
    """So three is the smallest length of the third correction: shorter ones have coefficients."""
    import numpy as np

    import glmix_theory as glm

    weights = np.tril(np.array([[0.7, 0.0], [0.4, 0.3]]))[:n, :n]
    mixer = glm.Mixer(direct=glm.Diagonal(), recurrent=glm.Fenwick(), readout=glm.FenwickPrefix())
    decay = np.array([[0.0, 0.0], [0.4 / 0.3, 0.0]])[:n, :n]
    np.testing.assert_allclose(mixer.matrix(np.eye(n), decay, np.diag([0.7, 0.3][:n])), weights)
