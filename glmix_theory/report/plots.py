"""Pictures: the pattern of ``B`` beside the dense ``M`` it generates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from glmix_theory.errors import MissingDependencyError, check_length
from glmix_theory.mixers import Mixer

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def uniform_matrix(mixer: Mixer, n: int) -> np.ndarray:
    """The mixing matrix when each step weighs all it reads equally (joint rows sum to 1), ``(n, n)``.

    >>> import glmix_theory as glm
    >>> uniform_matrix(glm.Mixer(recurrent=glm.Lags([1])), 3).tolist()
    [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.25, 0.25, 0.5]]
    """
    n = check_length(n)
    A, B = mixer.direct.to_dense(n).astype(float), mixer.recurrent.to_dense(n).astype(float)
    rows = np.maximum((A + B).sum(axis=1, keepdims=True), 1)
    C = None
    if mixer.readout is not None:
        C = mixer.readout.to_dense(n).astype(float)
        C /= np.maximum(C.sum(axis=1, keepdims=True), 1)
    if mixer.state > 1:  # one channel of the state shows where influence goes
        mixer = Mixer(mixer.direct, mixer.recurrent, mixer.readout)
    return mixer.matrix(A / rows, B / rows, C)


def plot_mixer(mixer: Mixer, n: int = 64) -> Figure:
    """``A``, ``B`` (and ``C``) as patterns beside the mixing matrix ``M`` with equal coefficients.

    Parameters
    ----------
    mixer : Mixer
        What to draw.
    n : int
        Number of positions.

    Returns
    -------
    matplotlib Figure

    Raises
    ------
    MissingDependencyError
        matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise MissingDependencyError(
            "plots need matplotlib, which is not installed; use pip install 'glmix-theory[notebooks]'"
        ) from missing
    n = check_length(n)
    M = uniform_matrix(mixer, n)
    titles = {"direct": "A: inputs read", "recurrent": "B: outputs read", "readout": "C: readout"}
    figure = Figure(figsize=(3.3 * (len(mixer.parts) + 1), 3.6), layout="constrained")
    axes = figure.subplots(1, len(mixer.parts) + 1, squeeze=False)[0]
    for axis, (part, pattern) in zip(axes, mixer.parts.items()):
        axis.imshow(pattern.to_dense(n), cmap="Blues", vmin=0, vmax=1, interpolation="nearest")
        density = pattern.to_dense(n).sum() / (n * (n + 1) / 2)
        axis.set_title(f"{titles[part]}\n{repr(pattern)[:34]} ({density:.0%} of the triangle)", fontsize=9)
    magnitude = np.ma.masked_equal(np.abs(M), 0)
    axes[-1].imshow(np.ma.log10(magnitude), cmap="viridis", interpolation="nearest")
    reached = np.count_nonzero(M) / (n * (n + 1) / 2)
    axes[-1].set_title(f"M = (I-B)$^{{-1}}$A, log scale\n({reached:.0%} of the triangle)", fontsize=9)
    for axis in axes:
        axis.set_xlabel("source s")
        axis.set_ylabel("step t")
    return figure
