"""Mixers read back from the text they print as."""

import pytest
from hypothesis import assume, given, settings

import glmix_theory as glm
from glmix_theory.errors import FormulaError, StrictnessError
from glmix_theory.mixers import parse_mixer
from tests.strategies import DrawnMixer, mixers


@pytest.mark.parametrize("name", glm.catalogue.names())
def test_catalogue_round_trip(name: str) -> None:
    mixer = glm.catalogue[name]
    assert parse_mixer(repr(mixer)) == mixer


@given(mixers())
@settings(max_examples=100, deadline=None)
def test_drawn_round_trip(drawn: DrawnMixer) -> None:
    mixer = drawn.mixer
    assume("<lambda>" not in repr(mixer))  # a Python function has no text
    assert parse_mixer(repr(mixer)) == mixer


def test_long_graph_round_trip() -> None:
    mixer = glm.Mixer(recurrent=glm.Explicit([(t, t // 2) for t in range(1, 3000)]))
    assert parse_mixer(repr(mixer)) == mixer


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("Mixer(recurrent=Ofsets(2**k))", FormulaError, "did you mean 'Offsets'"),
        ("Window(3)", FormulaError, "is not a mixer"),
        ("Mixer(recurrent=Window(3))", StrictnessError, "may not read itself"),
        ("Mixer(recurrent=__import__('os'))", FormulaError, "not allowed"),
        ("Mixer(", FormulaError, "does not parse"),
        ("Mixer(recurent=Lags([1]))", FormulaError, "recurent"),
        ("Mixer(name='x'.format())", FormulaError, "cannot be called"),
        ("Mixer(direct=Predicate(<lambda>))", FormulaError, "does not parse"),
    ],
)
def test_bad_text(text: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        parse_mixer(text)
