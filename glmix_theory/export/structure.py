"""What a backend needs to know of a mixer: the edges of each part at one length, as index tables."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from glmix_theory.export.remembering import remembered
from glmix_theory.mixers import Mixer
from glmix_theory.patterns import Explicit, Fenwick, Pattern

_EXACT_CLASSES = 64
_CLASSES_PER_OCTAVE = 16
LAG_CLASSES = _EXACT_CLASSES + _CLASSES_PER_OCTAVE * 14
"""Number of lag classes: what the last axis of a per-lag bias holds. Ranks to ``2^20`` are told apart."""


def lag_class(rank: np.ndarray) -> np.ndarray:
    """The class of a lag from its rank: exact below 64, then 16 classes an octave, the last one open.

    >>> lag_class(np.array([0, 1, 63, 64, 67, 68, 128, 2**30])).tolist()
    [0, 1, 63, 64, 64, 65, 80, 287]
    """
    rank = np.asarray(rank, dtype=np.int64)
    octave = np.frexp(np.maximum(rank, 1).astype(np.float64))[1] - 1  # exact: ⌊log2 rank⌋
    within = (np.maximum(rank, 1) * _CLASSES_PER_OCTAVE >> octave) - _CLASSES_PER_OCTAVE
    coarse = _EXACT_CLASSES + (octave - 6) * _CLASSES_PER_OCTAVE + within
    return np.where(rank < _EXACT_CLASSES, rank, np.minimum(coarse, LAG_CLASSES - 1))


@dataclass(frozen=True, eq=False)
class EdgeTable:
    """The pairs ``(t, s)`` of one part in compressed row form, ordered by target, then source.

    Parameters
    ----------
    indptr : int64 array (n + 1,)
        Row ``t`` owns the edges ``indptr[t] … indptr[t+1]-1``.
    sources : int64 array (edges,)
        Source of each edge.
    classes : int64 array (edges,)
        Lag class of each edge, below :data:`LAG_CLASSES`: :func:`lag_class` of the lag's rank among
        the lags of a translation-invariant pattern, and of the lag itself otherwise. It depends on
        ``(t, s)`` only, never on ``n``.

    >>> import glmix_theory as glm
    >>> table = EdgeTable.of(glm.Offsets(2**glm.k), 6)
    >>> table.targets.tolist(), table.sources.tolist(), table.classes.tolist()
    ([1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 5], [0, 0, 1, 1, 2, 0, 2, 3, 1, 3, 4], [0, 1, 0, 1, 0, 2, 1, 0, 2, 1, 0])
    """

    indptr: np.ndarray
    sources: np.ndarray
    classes: np.ndarray

    @classmethod
    def of(cls, pattern: Pattern, n: int) -> EdgeTable:
        """The edges of a pattern among the first ``n`` positions."""
        indptr, sources = (np.asarray(part, dtype=np.int64) for part in pattern.rows(0, n))
        lags = np.repeat(np.arange(n), np.diff(indptr)) - sources
        if pattern.lag_set is not None:
            lags = np.unique(lags, return_inverse=True)[1].reshape(-1)
        return cls(indptr, sources, lag_class(lags))

    @property
    def n(self) -> int:
        """Number of rows."""
        return len(self.indptr) - 1

    @property
    def number(self) -> int:
        """Number of edges."""
        return len(self.sources)

    @cached_property
    def targets(self) -> np.ndarray:
        """Target of each edge, int64."""
        return np.repeat(np.arange(self.n), np.diff(self.indptr))

    def index(self, name: str, device: torch.device) -> torch.Tensor:
        """``targets``, ``sources`` or ``classes`` as an int64 tensor on a device, made once."""
        return remembered(self, (name, str(device)), lambda: torch.from_numpy(getattr(self, name)).to(device))


@dataclass(frozen=True, eq=False)
class Structure:
    """The parts of a mixer at one length.

    Parameters
    ----------
    direct, recurrent : EdgeTable
        Edges of ``A`` and ``B``.
    readout : EdgeTable, optional
        Edges of ``C``; ``None`` when the mixer has none.
    state : int
        State expansion ``r``.
    read_once : bool
        Every output is read by one later output at most, so one walk at most joins two outputs and a
        sum over sources stays bounded without shares (THEORY section 2, path multiplicity).
    known : int
        Rows ``0 … known-1`` stand for cached rows and are not computed: they have no edges, and
        recurrent and readout edges that read one take its output from ``Inputs.outputs``. 0 except
        when a sequence is continued from a cache.
    """

    direct: EdgeTable
    recurrent: EdgeTable
    readout: EdgeTable | None = None
    state: int = 1
    read_once: bool = False
    known: int = 0

    @property
    def n(self) -> int:
        """Number of positions."""
        return self.direct.n

    @property
    def parts(self) -> tuple[EdgeTable, ...]:
        """Direct, recurrent and, where there is one, readout edges."""
        return (self.direct, self.recurrent) if self.readout is None else (self.direct, self.recurrent, self.readout)


def read_once(pattern: Pattern) -> bool:
    """Whether it is certain that every position is read by at most one later position.

    >>> import glmix_theory as glm
    >>> read_once(glm.Lags([1])), read_once(glm.Fenwick()), read_once(glm.Window(3).strict())
    (True, True, False)
    """
    if pattern.empty or isinstance(pattern, Fenwick):
        return True
    if isinstance(pattern, Explicit):
        sources = [s for _, s in pattern.edges]
        return len(set(sources)) == len(sources)
    lags = pattern.lag_set
    return lags is not None and isinstance(lags.largest, int) and lags.count(lags.largest) == 1


def structure_of(mixer: Mixer, n: int) -> Structure:
    """The :class:`Structure` of a mixer at length ``n``, made once per mixer object and length.

    >>> import glmix_theory as glm
    >>> [part.number for part in structure_of(glm.catalogue["exponential_recurrence"], 8).parts]
    [8, 17]
    """

    def make() -> Structure:
        return Structure(
            EdgeTable.of(mixer.direct, n),
            EdgeTable.of(mixer.recurrent, n),
            None if mixer.readout is None else EdgeTable.of(mixer.readout, n),
            mixer.state,
            read_once(mixer.recurrent),
        )

    return remembered(mixer, ("structure", n), make)
