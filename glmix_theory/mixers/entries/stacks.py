"""Published hybrids: mixers of different kinds, one after the other."""

from __future__ import annotations

from glmix_theory.errors import PatternError, check_length
from glmix_theory.mixers.entries.attention import attention, local_attention
from glmix_theory.mixers.entries.delta_rules import KIMI_LINEAR, kimi_delta_attention
from glmix_theory.mixers.entries.record import Citation, StackEntry
from glmix_theory.mixers.entries.state_space import GRIFFIN, mamba, rg_lru
from glmix_theory.mixers.stack import Stack


def griffin(window: int = 16) -> Stack:
    """Griffin's repeating block: two gated linear recurrences, then local attention.

    Layers: :func:`rg_lru`, :func:`rg_lru`, :func:`local_attention`.

    Parameters
    ----------
    window : int
        Window of the local attention, at least 1 (1024 in the paper).

    Examples
    --------
    >>> [mixer.name for mixer in griffin(window=4)]
    ['rg_lru', 'rg_lru', 'local_attention']

    References
    ----------
    De et al. 2024, arXiv:2402.19427.
    """
    return Stack("griffin", (rg_lru(), rg_lru(), local_attention(window)))


def jamba(state: int = 16, layers: int = 8, attention_layer: int = 4) -> Stack:
    """Jamba's repeating block: one attention layer among Mamba layers.

    Parameters
    ----------
    state : int
        State rows of every Mamba channel, at least 1 (16 in the paper).
    layers : int
        Layers of a block, at least 1 (8 in the paper: 1 attention to 7 Mamba).
    attention_layer : int
        Which of them, from 0, is attention.

    Raises
    ------
    PatternError
        ``attention_layer`` is not one of the layers.

    Examples
    --------
    >>> [mixer.name for mixer in jamba(layers=4, attention_layer=2)]
    ['mamba', 'mamba', 'attention', 'mamba']

    References
    ----------
    Lieber et al. 2024, arXiv:2403.19887.
    """
    check_length(layers, "layers")
    where = check_length(attention_layer, "attention_layer", 0)
    if where >= layers:
        raise PatternError(f"attention_layer = {where}, and the layers are 0 to {layers - 1}")
    return Stack("jamba", tuple(attention() if i == where else mamba(state) for i in range(layers)))


def kimi_linear(state: int = 16) -> Stack:
    """Kimi Linear's repeating block: three delta-attention layers, then full attention.

    Parameters
    ----------
    state : int
        Width of queries and keys in the delta layers, at least 1 (128 in the paper).

    Examples
    --------
    >>> [mixer.name for mixer in kimi_linear()]
    ['kimi_delta_attention', 'kimi_delta_attention', 'kimi_delta_attention', 'attention']

    References
    ----------
    Kimi Team 2025, arXiv:2510.26692.
    """
    return Stack("kimi_linear", (*(kimi_delta_attention(state) for _ in range(3)), attention()))


STACKS = (
    StackEntry(
        name="griffin",
        title="Griffin",
        build=griffin,
        citation=GRIFFIN,
    ),
    StackEntry(
        name="jamba",
        title="Jamba",
        build=jamba,
        citation=Citation(
            "Lieber et al.", 2024, "Jamba: A Hybrid Transformer-Mamba Language Model", arxiv="2403.19887"
        ),
    ),
    StackEntry(
        name="kimi_linear",
        title="Kimi Linear",
        build=kimi_linear,
        citation=KIMI_LINEAR,
    ),
)
