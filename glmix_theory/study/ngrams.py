"""Bytes predicted by counting: an interpolated n-gram model, exact and small."""

from __future__ import annotations

import numpy as np

from glmix_theory.errors import StudyError, check_length

ORDERS = 5
"""Longest n-gram by default: each byte is predicted from the 4 before it, or fewer."""


class NGram:
    """Interpolated n-gram model of bytes with Witten–Bell smoothing.

    Claim: with ``h`` the ``j`` bytes before a byte ``c``, ``C`` counts in the training text and ``T(h)`` the
    number of different bytes that followed ``h`` there,

    ``p_j(c | h) = (C(hc) + T(h) p_{j-1}(c | h')) / (C(h) + T(h))``,

    ``h'`` being ``h`` without its first byte; ``p_j = p_{j-1}`` for an ``h`` that never occurred, and
    ``p_{-1} = 1/256``. The model is ``p_{orders-1}``. It has no parameters to fit, and its probabilities of the 256
    bytes sum to 1.

    Parameters
    ----------
    text : uint8 array
        Training text, at least as long as the longest n-gram.
    orders : int
        Length of the longest n-gram, 1 … 7.

    Examples
    --------
    >>> model = NGram(np.frombuffer(b"abab", dtype=np.uint8), orders=2)
    >>> round(float(model.probabilities(np.frombuffer(b"ab", dtype=np.uint8))[1]), 3)
    0.778

    References
    ----------
    Witten & Bell 1991, doi:10.1109/18.87000.
    """

    def __init__(self, text: np.ndarray, orders: int = ORDERS) -> None:
        self.orders = check_length(orders, "orders")
        text = _bytes(text)
        if orders > 7 or len(text) < orders:
            raise StudyError(f"orders = {orders} with {len(text)} bytes of text; 1 … {min(7, len(text))} is needed")
        self._tables = [_Counts(_keys(text, order)) for order in range(1, orders + 1)]

    def probabilities(self, text: np.ndarray) -> np.ndarray:
        """Probability of each byte of a text given those before it in this text, fp64 ``(bytes,)``.

        A byte with fewer than ``orders - 1`` bytes before it is predicted from those there are.
        """
        text = _bytes(text)
        found = np.full(len(text), 1 / 256)
        for order, table in enumerate(self._tables, 1):
            if len(text) < order:
                break
            joint, context, different = table.look_up(_keys(text, order))
            seen = context > 0
            lower = found[order - 1 :]
            mixed = (joint + different * lower) / np.maximum(context + different, 1)
            found[order - 1 :] = np.where(seen, mixed, lower)
        return found

    def bits_per_byte(self, text: np.ndarray) -> float:
        """Mean of ``-log2`` of :meth:`probabilities`."""
        return float(-np.log2(self.probabilities(text)).mean())


class _Counts:
    """How often each n-gram, and each of its contexts, occurs."""

    def __init__(self, keys: np.ndarray) -> None:
        self.grams, self.gram_counts = np.unique(keys, return_counts=True)
        contexts = self.grams >> np.uint64(8)
        starts = np.flatnonzero(np.concatenate([[True], contexts[1:] != contexts[:-1]]))
        self.contexts = contexts[starts]
        self.context_counts = np.add.reduceat(self.gram_counts, starts)
        self.different = np.diff(np.append(starts, len(contexts)))

    def look_up(self, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """``C(hc)``, ``C(h)`` and ``T(h)`` of each n-gram; 0 for what never occurred."""
        place, known = _find(self.grams, keys)
        joint = np.where(known, self.gram_counts[place], 0)
        place, known = _find(self.contexts, keys >> np.uint64(8))
        return joint, np.where(known, self.context_counts[place], 0), np.where(known, self.different[place], 0)


def _find(values: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    place = np.minimum(np.searchsorted(values, wanted), len(values) - 1)
    return place, values[place] == wanted


def _keys(text: np.ndarray, order: int) -> np.ndarray:
    """Each n-gram of a text as one number, its first byte the most significant."""
    keys = np.zeros(len(text) - order + 1, dtype=np.uint64)
    for offset in range(order):
        keys = (keys << np.uint64(8)) | text[offset : len(text) - order + 1 + offset].astype(np.uint64)
    return keys


def _bytes(text: np.ndarray) -> np.ndarray:
    text = np.asarray(text)
    if text.dtype != np.uint8 or text.ndim != 1:
        raise StudyError(f"text has dtype {text.dtype} and {text.ndim} axes; a uint8 array with one axis is needed")
    return text
