"""State tracking: one recurrence of order ``2m - 1`` composes permutations of ``m`` items (THEORY 3.14)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from glmix_theory.errors import CoefficientError, check_length
from glmix_theory.mixers import Mixer
from glmix_theory.patterns import Diagonal, Lags

_CHECKED_STEPS = 256


@dataclass(frozen=True)
class PermutationTracker:
    """One-hot coefficients that apply permutations, one per block of ``m`` steps.

    Claim: ``y_(bm + r) = y_((b-1)m + π_b^{-1}(r))`` with ``y = x`` in the first block; the lag is
    ``m + r - π_b^{-1}(r)``, between 1 and ``2m - 1``. After block ``b`` position ``r`` holds item
    ``(π_b ∘ … ∘ π_1)^{-1}(r)``.

    Parameters
    ----------
    permutations : sequence of sequences
        ``π_1, π_2, …``: ``π[i]`` is where item ``i`` goes; all of one size ``m``.

    Examples
    --------
    >>> swap, cycle = (1, 0, 2), (1, 2, 0)
    >>> PermutationTracker([swap, cycle]).run().tolist()
    [2, 1, 0]

    References
    ----------
    Barrington 1989, doi:10.1016/0022-0000(89)90037-8: the word problem of S5 (m = 5, order 9) is NC¹-complete.
    """

    permutations: tuple[tuple[int, ...], ...]

    def __init__(self, permutations: Sequence[Sequence[int]]) -> None:
        spelled = tuple(tuple(int(i) for i in p) for p in permutations)
        if not spelled:
            raise CoefficientError("no permutations were given; at least one is needed")
        for p in spelled:
            if sorted(p) != list(range(len(spelled[0]))):
                raise CoefficientError(f"{p} is not a permutation of 0 … {len(spelled[0]) - 1}")
        object.__setattr__(self, "permutations", spelled)

    @property
    def items(self) -> int:
        """``m``."""
        return len(self.permutations[0])

    @property
    def mixer(self) -> Mixer:
        """Diagonal direct part and lags ``1 … 2m - 1``."""
        return Mixer(Diagonal(), Lags(range(1, 2 * self.items)))

    def coefficients(self) -> tuple[np.ndarray, np.ndarray]:
        """``(alpha, beta)``, each ``(n, n)`` with ``n = m (1 + number of permutations)``; entries 0 and 1."""
        m, n = self.items, self.items * (len(self.permutations) + 1)
        alpha, beta = np.zeros((n, n)), np.zeros((n, n))
        alpha[np.arange(m), np.arange(m)] = 1.0
        for block, permutation in enumerate(self.permutations, start=1):
            for item, place in enumerate(permutation):
                beta[block * m + place, (block - 1) * m + item] = 1.0
        return alpha, beta

    def run(self) -> np.ndarray:
        """Items by place after the last permutation, computed by the mixer: ``(m,)`` ints."""
        alpha, beta = self.coefficients()
        labels = np.zeros(len(alpha))
        labels[: self.items] = np.arange(self.items)
        outputs = self.mixer.matrix(alpha, beta) @ labels
        return np.rint(outputs[-self.items :]).astype(np.int64)


def tracked_items(mixer: Mixer, steps: int = _CHECKED_STEPS) -> int:
    """The largest ``m`` whose permutations the mixer composes by this construction: lags ``1 … 2m - 1`` at every step.

    A sufficient condition, examined at the steps ``t < steps`` (exact for translation-invariant patterns whose
    lags all occur below it); 0 where even lag 1 is missing.

    >>> import glmix_theory as glm
    >>> tracked_items(glm.Mixer(recurrent=glm.Lags(range(1, 10))))
    5
    >>> tracked_items(glm.Mixer(recurrent=glm.Offsets(2**glm.k)))
    1
    """
    steps = check_length(steps)
    order = steps
    for t in range(1, steps):
        past = set(mixer.recurrent.sources(t))
        run = 0
        while run < t and t - 1 - run in past:
            run += 1
        if run < t:
            order = min(order, run)
    return (order + 1) // 2
