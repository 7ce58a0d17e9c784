"""A space is read as it is written: every point once, and a named error for what cannot be meant."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import glmix_theory as glm
from glmix_theory import k
from glmix_theory.design import read_search_file, read_space
from glmix_theory.errors import GlmixError, LengthError, SpaceError, UnknownNameError


def mixers(space: Any) -> list[glm.Mixer]:
    return [point.mixer() for point in read_space(space)]


def test_the_product_of_values_recurrently_and_directly() -> None:
    space = {"pattern": "Window(w) | Offsets(b**k)", "w": [1, 2], "b": [2, 3]}
    expected = [(glm.Window(w) | glm.Offsets(b**k)).strict() for w in (1, 2) for b in (2, 3)]
    assert mixers(space) == [glm.Mixer(recurrent=pattern) for pattern in expected]
    direct = [glm.Mixer(direct=glm.Window(w) | glm.Offsets(b**k)) for w in (1, 2) for b in (2, 3)]
    assert mixers(space | {"as": "direct"}) == direct


def test_other_parts_blocks_and_catalogue_entries() -> None:
    assert mixers({"pattern": "Offsets(2**k)", "direct": "Window(w)", "w": 4}) == [
        glm.Mixer(direct=glm.Window(4), recurrent=glm.Offsets(2**k))
    ]
    assert mixers({"pattern": "Lags(l).blocked(b)", "l": [[1, 2]], "b": 3}) == [
        glm.Mixer(recurrent=glm.Lags([1, 2]).blocked(3).strict())
    ]
    entry = glm.catalogue.entry("kth_order_recurrence")
    assert mixers({"catalogue": "kth_order_recurrence", "order": [1, 3]}) == [entry.build(order=o) for o in (1, 3)]
    assert mixers({"catalogue": ["attention", "diagonal_ssm"]}) == [
        glm.catalogue["attention"],
        glm.catalogue["diagonal_ssm"],
    ]


def test_values_are_put_in_as_wholes() -> None:
    """A text replaces a name with its brackets kept: (k + 1) * 2 is not k + 1 * 2."""
    [mixer] = mixers({"pattern": "Offsets(2*f)", "f": "k + c", "c": 1})
    assert mixer.recurrent == glm.Offsets(2 * (k + 1))
    [mixer] = mixers({"pattern": "Offsets(ceiling(a*2**k))", "a": 2.5})
    assert [mixer.recurrent.sources(30)] == [tuple(30 - f for f in (20, 10, 5, 3))]
    assert mixers({"pattern": "base.blocked(2)", "base": ["Lags([1])", "Window(2) | Lags([4])"]})[1] == glm.Mixer(
        recurrent=(glm.Window(2) | glm.Lags([4])).blocked(2).strict()
    )


@pytest.mark.parametrize(
    ("described", "values"),
    [
        ({"from": 1, "to": 4}, [1, 2, 3, 4]),
        ({"from": 0, "to": 7, "step": 3}, [0, 3, 6]),
        ({"from": 3, "to": 24, "factor": 2}, [3, 6, 12, 24]),
        (5, [5]),
    ],
)
def test_ranges(described: Any, values: list[int]) -> None:
    assert [point.parameters["w"] for point in read_space({"pattern": "Window(w)", "w": described})] == values


@given(st.lists(st.integers(1, 5), min_size=1), st.lists(st.integers(1, 5), min_size=1))
def test_every_pair_once(first: list[int], second: list[int]) -> None:
    texts = [p.text for p in read_space({"pattern": "Window(a) | Strided(b)", "a": first, "b": second})]
    assert len(texts) == len(set(texts)) == len(set(first)) * len(set(second))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ([], "no points"),
        ({"pattern": "Window(w)", "w": []}, "no points"),
        ({"pattern": "Window(w)", "w": {"from": 3, "to": 2}}, "no points"),
        ({"pattern": "Window(w)"}, "'w' in 'Window(w)' has no values"),
        ({"pattern": "Window(width)", "widht": [1]}, "did you mean 'widht'"),
        ({"pattern": "Windo(4)"}, "did you mean 'Window'"),
        ({"pattern": "Window(4)", "w": [1]}, "'w' is never used"),
        ({"pattern": "Window(k)", "k": [1]}, "cannot be called 'k'"),
        ({"pattern": "Window(w", "w": [1]}, "does not parse"),
        ({"pattern": "Window(w)", "w": True}, "True is no value"),
        ({"pattern": "Window(w)", "w": [None]}, "is no value"),
        ({"pattern": "Window(w)", "w": [float("nan")]}, "is no value"),
        ({"pattern": "Window(w)", "w": {"from": 1, "until": 3}}, "no 'until'"),
        ({"pattern": "Window(w)", "w": {"from": 1}}, "a range needs"),
        ({"pattern": "Window(w)", "w": {"from": 1, "to": 10**9}}, "at most"),
        ({"pattern": "Window(w)", "as": "dirct", "w": 1}, "did you mean 'direct'"),
        ({"pattern": "Window(w)", "as": "direct", "direct": "Window(1)", "w": 1}, "given twice"),
        ({"w": [1]}, "either a 'pattern' or a 'catalogue'"),
        ({"catalogue": "local_attention", "windw": [1]}, "did you mean 'window'"),
        ({"catalogue": "attention", "window": [1]}, "it has none"),
        ({"catalogue": "attention", "as": "direct"}, "does not go with"),
        ("Window(4)", "not str"),
        ([3], "template 1 is a int"),
    ],
)
def test_errors(space: Any, message: str) -> None:
    with pytest.raises(SpaceError, match=re.escape(message)):
        read_space(space)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"objectives": "step_cots"}, UnknownNameError, "did you mean 'step_cost'"),
        ({"objectives": "best step_cost"}, UnknownNameError, "write"),
        ({"objectives": []}, SpaceError, "no objectives"),
        ({"objectives": ["depth", "max depth"]}, SpaceError, "given twice"),
        ({"n": 0}, LengthError, "n = 0 is below 1"),
        ({"layer": {"d_model": 8}}, SpaceError, "no objective"),
        ({"objectives": "layer_time", "layer": {"d_modl": 8}}, SpaceError, "did you mean 'd_model'"),
        ({"time_limit": 0}, SpaceError, "above 0"),
        ({"space": {"catalogue": "atention"}}, UnknownNameError, "did you mean 'attention'"),
    ],
)
def test_errors_of_a_search(arguments: dict[str, Any], error: type[GlmixError], message: str) -> None:
    from glmix_theory.design import search

    whole = {"space": {"pattern": "Window(w)", "w": 1}, "objectives": "depth", "n": 8} | arguments
    with pytest.raises(error, match=message):
        search(**whole)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("n = ", "is not TOML"),
        ("n = 4\nobjective = ['depth']", "did you mean 'objectives'"),
        ("n = 4\nobjectives = ['depth']", "has no 'space'"),
    ],
)
def test_errors_of_a_file(tmp_path: Any, text: str, message: str) -> None:
    file = tmp_path / "search.toml"
    file.write_text(text)
    with pytest.raises(SpaceError, match=message):
        read_search_file(file)
    with pytest.raises(SpaceError, match="cannot be read"):
        read_search_file(tmp_path / "absent.toml")


@pytest.mark.parametrize("pattern", ["Delayed(sqrt(n))", "Offsets(Staircase(sqrt(n)))"])
def test_every_name_of_a_pattern_may_stand_in_a_template(pattern: str) -> None:
    (point,) = read_space({"pattern": pattern})
    assert pattern in point.text
