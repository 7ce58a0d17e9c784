"""What a language model is compared with: counting and compression, on the same held-out bytes."""

from __future__ import annotations

import gzip
import lzma
import time
from typing import Any

import numpy as np

from glmix_theory.study.configuration import PROTOCOL, digest
from glmix_theory.study.language import LanguageModelling, corpus
from glmix_theory.study.ngrams import ORDERS, NGram
from glmix_theory.study.store import provenance


def baseline_configuration(problem: LanguageModelling, held_out: int) -> dict[str, Any]:
    """What the baselines of a problem depend on."""
    return {"protocol": PROTOCOL, "problem": problem.to_dict(), "held_out": held_out, "orders": ORDERS}


def baselines(problem: LanguageModelling, held_out: int) -> dict[str, Any]:
    """Bits per byte of n-grams, gzip and lzma on the windows that language models are tested on.

    * ``ngram_1 …``: :class:`NGram` trained on the whole training text. As for the models, each window stands
      alone: nothing before its first byte is known.
    * ``ngram_5_whole``: the longest, on the whole test text, where every byte has all its context.
    * ``gzip``, ``lzma``: the whole test text compressed by itself.
    * ``lzma_after_training``: bytes that the test text adds to the compressed training text.

    Parameters
    ----------
    problem : LanguageModelling
        Context length.
    held_out : int
        Test windows.

    Returns
    -------
    dict
        A record: ``bits_per_byte`` by name, the corpus, seconds, provenance.
    """
    began, text = time.perf_counter(), corpus()
    bits: dict[str, float] = {}
    batches = list(problem.held_out("test", held_out))
    for orders in range(1, ORDERS + 1):
        model = NGram(text.train, orders)
        bits[f"ngram_{orders}"] = windows_bits(model, batches)
    bits[f"ngram_{ORDERS}_whole"] = model.bits_per_byte(text.test)
    test, train = text.test.tobytes(), text.train.tobytes()
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 26}]

    def squeezed(data: bytes) -> int:
        return len(lzma.compress(data, format=lzma.FORMAT_XZ, filters=filters))

    bits["gzip"] = 8 * len(gzip.compress(test, 9)) / len(test)
    bits["lzma"] = 8 * squeezed(test) / len(test)
    bits["lzma_after_training"] = 8 * (squeezed(train + test) - squeezed(train)) / len(test)
    configuration = baseline_configuration(problem, held_out)
    return {
        "kind": "baseline",
        "key": digest(configuration),
        "configuration": configuration,
        "bits_per_byte": {name: round(value, 5) for name, value in bits.items()},
        "corpus": text.to_dict(),
        "seconds": round(time.perf_counter() - began, 2),
        **provenance(),
    }


def windows_bits(model: NGram, batches: list[Any]) -> float:
    """Bits per byte over the scored bytes of windows: each but the first, from those before it in the window."""
    total, number = 0.0, 0
    for batch in batches:
        for tokens, targets in zip(batch.tokens, batch.targets):
            window = np.append(tokens, targets[-1]).astype(np.uint8)
            total -= float(np.log2(model.probabilities(window)[1:]).sum())
            number += len(targets)
    return total / number
