"""The corpus: whole packages held out, nothing of them in the training text; windows and baselines."""

import math
import zlib

import numpy as np
import pytest

from glmix_theory.errors import StudyError
from glmix_theory.study.baselines import windows_bits
from glmix_theory.study.language import LanguageModelling, corpus
from glmix_theory.study.ngrams import NGram


@pytest.fixture
def library(tmp_path):
    """A standard library of a few files."""
    files = {
        "os.py": b"import sys\n" * 60,
        "json/__init__.py": b"JSON = 1\n" * 40,
        "json/tests/test_a.py": b"left out\n",
        "http/client.py": b"HTTP = 2\n" * 40,
        "test/test_os.py": b"left out\n",
        "collections/abc.py": b"from os import path\n" * 20,
        "encodings/ascii.py": b"left out\n",
        "_sysconfigdata_x.py": b"left out\n",
        "os.txt": b"left out\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)
    return str(tmp_path)


def test_splits_are_whole_packages(library):
    found = corpus(library)
    assert found.train.tobytes() == b"from os import path\n" * 20 + b"\n" + b"import sys\n" * 60
    assert found.test.tobytes() == b"JSON = 1\n" * 40
    assert found.validation.tobytes() == b"HTTP = 2\n" * 40
    assert found.to_dict()["test"] == 360


def test_the_digest_is_of_every_byte(library, tmp_path):
    before = corpus(library).digest
    (tmp_path / "os.py").write_bytes(b"import sys\n" * 59 + b"import syt\n")
    corpus.cache_clear()
    assert corpus(library).digest != before


def test_a_library_without_sources_is_refused(tmp_path):
    with pytest.raises(StudyError, match="no Python sources for train and validation and test"):
        corpus(str(tmp_path))


def test_this_machines_library_is_large_enough():
    found = corpus()
    assert found.train.size > 3_000_000
    assert found.test.size > 300_000
    assert b"class JSONDecoder" in found.test.tobytes()
    assert b"class JSONDecoder" not in found.train.tobytes()


def test_windows_are_bytes_and_their_successors():
    problem = LanguageModelling(context=16)
    batch = problem.sample(np.random.default_rng(0), 5)
    assert batch.tokens.shape == batch.targets.shape == (5, 16)
    assert np.array_equal(batch.tokens[:, 1:], batch.targets[:, :-1])
    assert all(
        bytes([*row, last]) in corpus().train.tobytes()
        for row, last in zip(batch.tokens.tolist(), batch.targets[:, -1].tolist())
    )


def test_held_out_windows_are_disjoint_and_repeat():
    problem = LanguageModelling(context=64)
    first, again = (np.concatenate([batch.tokens for batch in problem.held_out("test", 50)]) for _ in range(2))
    assert np.array_equal(first, again)
    text = corpus().test
    starts = [text.tobytes().index(bytes(row.tolist())) for row in first]
    assert first.shape == (50, 64)
    assert len(set(starts)) == 50
    everything = sum(len(batch.tokens) for batch in problem.held_out("test", 10**9))
    assert everything == (text.size - 1) // 64


def test_windows_bits_score_every_byte_but_the_first():
    model, problem = NGram(corpus().train[:20000], 3), LanguageModelling(context=8)
    batches = list(problem.held_out("validation", 4))
    total = number = 0
    for batch in batches:
        for row, last in zip(batch.tokens.tolist(), batch.targets[:, -1].tolist()):
            window = np.array([*row, last], dtype=np.uint8)
            for t in range(1, 9):
                total -= math.log2(model.probabilities(window[: t + 1])[-1])
                number += 1
    assert windows_bits(model, batches) == pytest.approx(total / number)


def test_five_grams_are_within_half_a_bit_of_a_general_compressor():
    """A check of scale with another library's algorithm: zlib on the same bytes."""
    text = corpus()
    sample = text.test[:60000]
    model = NGram(text.train[:1_000_000], 5)
    assert 1.0 < model.bits_per_byte(sample) < 8 * len(zlib.compress(sample.tobytes(), 9)) / len(sample) + 0.5
