"""Softmax attention, full and sparse, and long convolution: direct influence only, ``Y = A X``."""

from __future__ import annotations

import sympy

from glmix_theory.errors import check_length
from glmix_theory.mixers.entries.record import Citation, Entry, PaperValues
from glmix_theory.mixers.mixer import Mixer
from glmix_theory.notation import k, n
from glmix_theory.patterns import (
    Dense,
    Diagonal,
    GlobalTokens,
    Offsets,
    Pattern,
    RandomSources,
    Strided,
    Window,
)

_ONE = sympy.Integer(1)


def attention() -> Mixer:
    """Causal softmax attention: every position reads itself and every earlier input.

    Claim: ``A[t, s] = exp(q_t·k_s) / Σ_{u≤t} exp(q_t·k_u)`` for ``s ≤ t``; ``M = A``. Direct: dense.

    Examples
    --------
    >>> attention()
    Mixer(direct=Dense())

    References
    ----------
    Vaswani et al. 2017, arXiv:1706.03762.
    """
    return Mixer(direct=Dense(), name="attention")


def local_attention(window: int = 16) -> Mixer:
    """Softmax attention to the last ``window`` positions, the current one included.

    Claim: ``A[t, s]`` is a softmax over ``t - window < s ≤ t``; ``M = A``. Nothing older than the window
    can reach an output of this layer. Direct: ``Window(window)``.

    Parameters
    ----------
    window : int
        Positions each step reads, at least 1.

    Examples
    --------
    >>> local_attention(window=4).direct.sources(9)
    (6, 7, 8, 9)

    References
    ----------
    Parmar et al. 2018, arXiv:1802.05751.
    """
    return Mixer(direct=Window(check_length(window, "window")), name="local_attention")


def sliding_window(window: int = 16) -> Mixer:
    """Sliding-window attention with a rolling cache, as language models use it.

    Claim: the mixing matrix of :func:`local_attention`; the cache is a ring buffer of ``window`` rows
    (4096 in Mistral 7B). Direct: ``Window(window)``.

    Parameters
    ----------
    window : int
        Positions each step reads, at least 1.

    Examples
    --------
    >>> sliding_window(window=4096)
    Mixer(direct=Window(4096))

    References
    ----------
    Jiang et al. 2023, arXiv:2310.06825.
    """
    return Mixer(direct=Window(check_length(window, "window")), name="sliding_window")


def dilated(window: int = 16, dilation: int = 2) -> Mixer:
    """Softmax attention to ``window`` positions, ``dilation`` apart.

    Claim: ``A[t, s]`` is a softmax over ``s = t - dilation·j ≥ 0``, ``0 ≤ j < window``; ``M = A``.
    Direct: the multiples of ``dilation`` within a window of ``window·dilation``.

    Parameters
    ----------
    window : int
        Positions each step reads, at least 1.
    dilation : int
        Distance between them, at least 1 (1 is a sliding window).

    Examples
    --------
    >>> dilated(window=3, dilation=2).direct.sources(9)
    (5, 7, 9)

    References
    ----------
    Beltagy, Peters & Cohan 2020, arXiv:2004.05150.
    """
    return Mixer(direct=_dilated_window(window, dilation), name="dilated")


def strided(stride: int = 16) -> Mixer:
    """The Sparse Transformer's strided pattern: the last ``stride`` positions and every ``stride``-th one.

    Claim: ``A[t, s]`` is a softmax over ``t - s < stride`` or ``stride | t - s``, the union of the two
    heads' patterns; two such layers reach everything. The published ``Θ(n√n)`` total is for a stride
    near ``√n``, chosen with the length; with the stride fixed a step costs ``n/stride + stride`` terms.
    Direct: ``Window(stride) | Strided(stride)``.

    Parameters
    ----------
    stride : int
        Window and stride, at least 1 (128 in the paper's images and text).

    Examples
    --------
    >>> strided(stride=4).direct.sources(9)
    (1, 5, 6, 7, 8, 9)

    References
    ----------
    Child et al. 2019, arXiv:1904.10509.
    """
    check_length(stride, "stride")
    return Mixer(direct=Window(stride) | Strided(stride), name="strided")


def longformer(window: int = 16, dilation: int = 4, global_tokens: int = 2) -> Mixer:
    """Longformer, causal: a window, a dilated window and tokens that everyone reads.

    Claim: ``A[t, s]`` is a softmax over the union of the three patterns; ``M = A``. The published layer
    gives some heads the window and others the dilated one; here one mixer holds the union. Its causal
    language models use no global tokens. Direct:
    ``Window(window) | Strided(dilation) & Window(window·dilation) | GlobalTokens(global_tokens)``.

    Parameters
    ----------
    window : int
        Positions of each window, at least 1 (256 per side, 512 in all, in the paper).
    dilation : int
        Distance between the positions of the dilated window, at least 1.
    global_tokens : int
        How many first positions every step reads; 0 for none.

    Examples
    --------
    >>> longformer(window=3, dilation=4, global_tokens=1).direct.sources(12)
    (0, 4, 8, 10, 11, 12)

    References
    ----------
    Beltagy, Peters & Cohan 2020, arXiv:2004.05150.
    """
    pattern = Window(check_length(window, "window")) | _dilated_window(window, dilation)
    return Mixer(direct=_with_globals(pattern, global_tokens), name="longformer")


def bigbird(window: int = 16, global_tokens: int = 2, random_sources: int = 3, seed: int = 0) -> Mixer:
    """BigBird, causal: a window, tokens that everyone reads and random earlier positions.

    Claim: ``A[t, s]`` is a softmax over the union of the three patterns; ``M = A``. The published layer
    works on blocks of 64 tokens (3 window, 2 global and 3 random blocks), which is ``.blocked(64)`` of
    this pattern with those numbers. Random positions may be read at any later step, so a streaming cache
    must keep them all. Direct:
    ``Window(window) | GlobalTokens(global_tokens) | RandomSources(random_sources, seed)``.

    Parameters
    ----------
    window : int
        Positions of the window, at least 1.
    global_tokens : int
        How many first positions every step reads; 0 for none.
    random_sources : int
        Random earlier positions per step, at least 1.
    seed : int
        Which random positions: the same seed draws the same pattern.

    Examples
    --------
    >>> bigbird(window=3, global_tokens=1, random_sources=2)
    Mixer(direct=Window(3) | GlobalTokens(1) | RandomSources(2, seed=0))

    References
    ----------
    Zaheer et al. 2020, arXiv:2007.14062.
    """
    pattern = _with_globals(Window(check_length(window, "window")), global_tokens)
    return Mixer(direct=pattern | RandomSources(random_sources, seed), name="bigbird")


def attention_sinks(window: int = 16, sinks: int = 4) -> Mixer:
    """StreamingLLM: a sliding window and the first ``sinks`` positions, which are never evicted.

    Claim: ``A[t, s]`` is a softmax over ``t - window < s ≤ t`` or ``s < sinks``; ``M = A``. The cache is
    ``window + sinks`` rows at any length (4 sinks in the paper). Direct: ``Window | GlobalTokens``.

    Parameters
    ----------
    window : int
        Positions of the window, at least 1.
    sinks : int
        How many first positions stay, at least 1.

    Examples
    --------
    >>> attention_sinks(window=3, sinks=2).direct.sources(9)
    (0, 1, 7, 8, 9)

    References
    ----------
    Xiao et al. 2023, arXiv:2309.17453.
    """
    pattern = Window(check_length(window, "window")) | GlobalTokens(check_length(sinks, "sinks"))
    return Mixer(direct=pattern, name="attention_sinks")


def log_sparse() -> Mixer:
    """LogSparse attention: every position reads itself and the inputs 1, 2, 4, 8, … steps back.

    Claim: ``A[t, s]`` is a softmax over ``s = t`` and ``s = t - 2^j ≥ 0``; ``M = A``. A step costs
    ``⌊log2 t⌋ + 2`` terms; about ``log2 n`` layers reach everything. The published layer may add a small
    window and restarts. Direct: the diagonal and ``Offsets(2**k)``.

    Examples
    --------
    >>> log_sparse().direct.sources(9)
    (1, 5, 7, 8, 9)

    References
    ----------
    Li et al. 2019, arXiv:1907.00235.
    """
    return Mixer(direct=Diagonal() | Offsets(2**k), name="log_sparse")


def long_convolution() -> Mixer:
    """Gated long convolution, one order of the Hyena operator: a learned filter as long as the sequence.

    Claim: ``y_t = g_t Σ_{s≤t} h_{t-s} u_s x_s`` per channel, with gates ``g`` and ``u`` made from the
    inputs and a filter ``h`` that is not: ``A = diag(g) T(h) diag(u)``, ``T(h)`` Toeplitz. Hyena of order
    ``N`` composes ``N`` of these. Decoding token by token costs Θ(n) a step; the published Θ(n log n)
    total is for a whole sequence at once, by FFT. Direct: dense.

    Examples
    --------
    >>> long_convolution()
    Mixer(direct=Dense(), coefficients='fixed')

    References
    ----------
    Poli et al. 2023, arXiv:2302.10866.
    """
    return Mixer(direct=Dense(), coefficients="fixed", name="long_convolution")


def _dilated_window(window: int, dilation: int) -> Pattern:
    check_length(window, "window")
    check_length(dilation, "dilation")
    return Strided(dilation) & Window((window - 1) * dilation + 1)


def _with_globals(pattern: Pattern, global_tokens: int) -> Pattern:
    count = check_length(global_tokens, "global_tokens", 0)
    return pattern | GlobalTokens(count) if count else pattern


_LONGFORMER = Citation("Beltagy, Peters & Cohan", 2020, "Longformer: The Long-Document Transformer", arxiv="2004.05150")
_WINDOWED = {"step_cost": _ONE, "cache_size": _ONE, "distance": sympy.oo}

ENTRIES = (
    Entry(
        name="attention",
        title="Attention",
        build=attention,
        citation=Citation("Vaswani et al.", 2017, "Attention Is All You Need", arxiv="1706.03762"),
        published={
            "step_cost": n,
            "total_cost": n**2,
            "cache_size": n,
            "distance": _ONE,
            "congestion": _ONE,
        },
        table1=0,
        paper_values=PaperValues("Θ(n)", "Θ(n)", "1", "1", 100.0, 100.0, 39.21),
    ),
    Entry(
        name="local_attention",
        title="Local attention",
        build=local_attention,
        citation=Citation("Parmar et al.", 2018, "Image Transformer", arxiv="1802.05751"),
        published={**_WINDOWED, "congestion": sympy.oo},
        table1=1,
        paper_values=PaperValues("Θ(k)", "Θ(k)", "∞", "unreachable beyond the window", 23.75, 26.20, 23.59),
    ),
    Entry(
        name="sliding_window",
        title="Sliding-window attention",
        build=sliding_window,
        citation=Citation("Jiang et al.", 2023, "Mistral 7B", arxiv="2310.06825"),
        published=_WINDOWED,
    ),
    Entry(
        name="dilated",
        title="Dilated sliding window",
        build=dilated,
        citation=_LONGFORMER,
        published=_WINDOWED,
    ),
    Entry(
        name="strided",
        title="Sparse Transformer (strided)",
        build=strided,
        citation=Citation(
            "Child et al.", 2019, "Generating Long Sequences with Sparse Transformers", arxiv="1904.10509"
        ),
        published={"step_cost": n, "total_cost": n**2, "cache_size": n},
    ),
    Entry(
        name="longformer",
        title="Longformer",
        build=longformer,
        citation=_LONGFORMER,
        published={"step_cost": _ONE, "total_cost": n},
    ),
    Entry(
        name="bigbird",
        title="BigBird",
        build=bigbird,
        citation=Citation("Zaheer et al.", 2020, "Big Bird: Transformers for Longer Sequences", arxiv="2007.14062"),
        published={"step_cost": _ONE, "total_cost": n},
    ),
    Entry(
        name="attention_sinks",
        title="Attention sinks (StreamingLLM)",
        build=attention_sinks,
        citation=Citation(
            "Xiao et al.",
            2023,
            "Efficient Streaming Language Models with Attention Sinks",
            arxiv="2309.17453",
        ),
        published={"step_cost": _ONE, "cache_size": _ONE},
    ),
    Entry(
        name="log_sparse",
        title="LogSparse attention",
        build=log_sparse,
        citation=Citation(
            "Li et al.",
            2019,
            "Enhancing the Locality and Breaking the Memory Bottleneck of Transformer on Time Series Forecasting",
            arxiv="1907.00235",
        ),
        published={"step_cost": sympy.log(n), "total_cost": n * sympy.log(n)},
    ),
    Entry(
        name="long_convolution",
        title="Long convolution (Hyena)",
        build=long_convolution,
        citation=Citation(
            "Poli et al.",
            2023,
            "Hyena Hierarchy: Towards Larger Convolutional Language Models",
            arxiv="2302.10866",
        ),
        published={"step_cost": n, "cache_size": n},
    ),
)
