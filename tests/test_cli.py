"""The command line: every command, every kind of target, errors and exit codes."""

import json
from pathlib import Path

import pytest

import glmix_theory as glm
from glmix_theory import cli, k
from glmix_theory.errors import GlmixError

EXAMPLE = str(Path(__file__).parent.parent / "examples" / "my_pattern.py")


def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["glmix", *arguments])
    try:
        cli.main()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    ("target", "mixer"),
    [
        ("k**2 + 1", glm.Mixer(recurrent=glm.Offsets(k**2 + 1))),
        ("attention", glm.Mixer(direct=glm.Dense())),
        ("Window(3)", glm.Mixer(direct=glm.Window(3))),
        ("Window(3) | Offsets(2**k)", glm.Mixer(direct=glm.Window(3) | glm.Offsets(2**k))),
        ("(Window(3) | Strided(2)).strict()", glm.Mixer(recurrent=(glm.Window(3) | glm.Strided(2)).strict())),
    ],
)
def test_targets(target: str, mixer: glm.Mixer) -> None:
    assert cli.resolve(target) == mixer


def test_analyze_formula_cache_efficient(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run(capsys, monkeypatch, "analyze", "k**2 + 1", "--cache-efficient", "--at", "100", "--explain")
    assert code == 0
    assert "CacheEfficient(k**2 + 1)" in out
    assert "n = 100" in out
    assert "proposition 7" in out


def test_analyze_file_as_json(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run(capsys, monkeypatch, "analyze", f"{EXAMPLE}:mixer", "--json")
    assert code == 0
    data = json.loads(out)
    assert data["name"] == "my pattern"
    assert data["quantities"]["cache_size"]["values"]["64"] == 67


def test_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run(capsys, monkeypatch, "table", "--json")
    assert code == 0
    assert list(json.loads(out))[:2] == ["attention", "local_attention"]
    code, out, _ = run(capsys, monkeypatch, "table")
    assert code == 0
    assert "2^k recurrence" in out


def test_verify_holds_and_fails(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = run(capsys, monkeypatch, "verify", "2**k", "--cache-efficient", "--lengths", "1-12,16")
    assert code == 0
    assert "every check holds" in out
    code, out, _ = run(capsys, monkeypatch, "verify", "2**k", "--lengths", "1-5", "--claim", "step_cost == 3")
    assert code == 1
    assert "FAILS – claim step_cost == 3 at n = 1: computed 1, claimed 3" in out
    code, out, _ = run(capsys, monkeypatch, "verify", "2**k", "--lengths", "3", "--claim", "depth < 3", "--json")
    assert code == 1
    assert json.loads(out)["counterexample"]["length"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["analyze", "atention"], "no catalogue entry is named 'atention'; did you mean 'attention'?"),
        (["analyze", "2**"], "does not parse"),
        (["analyze", "__import__('os')"], "'__import__' is not allowed in a formula"),
        (["analyze", "floor(2**sqrt(k))"], "f(1) = 2, f(2) = 2"),
        (["analyze", "2**k + 1", "--cache-efficient"], "f(0) = 2, and the construction needs f(0) = 1"),
        (["analyze", "attention", "--cache-efficient"], "--cache-efficient applies to a formula"),
        (["analyze", "missing.py:mixer"], "there is no file 'missing.py'"),
        (["analyze", f"{EXAMPLE}:mixxer"], "did you mean 'mixer'?"),
        (["analyze", "2**k", "--at", "0"], "n = 0 is below 1"),
        (["verify", "2**k", "--lengths", "1-x"], "write 1-64 or 1,2,3"),
        (["verify", "2**k", "--claim", "cash == 1"], "did you mean 'cache_size'?"),
    ],
)
def test_bad_input_says_what_is_wrong(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, err = run(capsys, monkeypatch, *arguments)
    assert code == 2
    assert err.startswith("glmix: ")
    assert message in err


@pytest.mark.parametrize(
    "text", ["k.__class__", "(lambda: 1)()", "[x for x in k]", "9**9**9", "open('f')", "k if k else 1", "'text'", "1/0"]
)
def test_nothing_but_arithmetic_is_evaluated(text: str) -> None:
    with pytest.raises(GlmixError):
        glm.parse_formula(text)


@pytest.mark.parametrize(
    "pattern",
    [
        glm.Offsets(2**k).shift(3) - (glm.Dense() & glm.Strided(3)),
        (glm.Window(2) | glm.Blocks(3)).strict().blocked(2) @ glm.Fenwick(),
        glm.Explicit([(3, 0), (5, 2)]) | glm.RandomSources(2, seed=4),
        glm.CacheEfficient(k**2 + 1) | glm.GlobalTokens(2),
        glm.Lags([]) | glm.Offsets([1, 4]),
    ],
    ids=repr,
)
def test_a_pattern_is_rebuilt_from_its_text(pattern: glm.Pattern) -> None:
    assert glm.parse_pattern(repr(pattern)) == pattern
