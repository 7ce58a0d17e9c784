"""N-grams: the formula in plain dictionaries, probabilities that sum to 1, and known extremes."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glmix_theory.errors import StudyError
from glmix_theory.study.ngrams import NGram

texts = st.lists(st.integers(0, 3), min_size=3, max_size=40).map(bytes)


def array(text):
    return np.frombuffer(text, dtype=np.uint8)


def probability(train, context, byte):
    """Witten–Bell, recursively, from counts over the training text."""
    lower = 1 / 256 if not context else probability(train, context[1:], byte)
    order = len(context)
    grams = Counter(train[i : i + order + 1] for i in range(len(train) - order))
    total = sum(count for gram, count in grams.items() if gram[:order] == context)
    different = sum(gram[:order] == context for gram in grams)
    if total == 0:
        return lower
    return (grams[context + bytes([byte])] + different * lower) / (total + different)


@given(texts, texts, st.integers(1, 3))
def test_probabilities_are_the_formula(train, text, orders):
    found = NGram(array(train), orders).probabilities(array(text))
    for t, byte in enumerate(text):
        context = text[max(0, t - orders + 1) : t]
        assert found[t] == pytest.approx(probability(train, context, byte), rel=1e-12)


@settings(max_examples=15)
@given(texts, st.lists(st.integers(0, 4), max_size=2).map(bytes))
def test_probabilities_of_all_bytes_sum_to_one(train, context):
    model = NGram(array(train), 3)
    total = sum(model.probabilities(array(context + bytes([byte])))[-1] for byte in range(256))
    assert total == pytest.approx(1)


def test_a_text_that_repeats_costs_little_and_a_random_one_eight_bits():
    assert NGram(array(b"abcde" * 2000), 5).bits_per_byte(array(b"abcde" * 100)) < 0.15
    noise = np.random.default_rng(0).integers(256, size=20000).astype(np.uint8)
    assert NGram(noise[:10000], 3).bits_per_byte(noise[10000:]) > 7.9


def test_longer_grams_help_on_text_with_memory():
    text = array(b"the cat sat on the mat and the dog sat on the log " * 3 + b"the cat and the dog ")
    bits = [NGram(text[:150], orders).bits_per_byte(text[150:]) for orders in (1, 2, 3)]
    assert bits[0] > bits[1] > bits[2]


def test_bad_inputs_are_refused_by_name():
    with pytest.raises(StudyError, match="orders = 8 with 10 bytes of text; 1 … 7"):
        NGram(array(b"0123456789"), 8)
    with pytest.raises(StudyError, match="orders = 5 with 3 bytes of text; 1 … 3"):
        NGram(array(b"abc"), 5)
    with pytest.raises(StudyError, match="text has dtype int64 and 1 axes"):
        NGram(np.zeros(4, dtype=np.int64))
