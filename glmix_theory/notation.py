"""Symbols and the one glossary that code, reports and docs share.

>>> from glmix_theory.notation import k, n
>>> k.is_nonnegative, n.is_positive
(True, True)
"""

import sympy

k = sympy.Symbol("k", integer=True, nonnegative=True)
"""Index of an offset sequence ``f(k)``; starts at 0."""

n = sympy.Symbol("n", integer=True, positive=True)
"""Sequence length; positions are ``t = 0 … n-1``."""

t = sympy.Symbol("t", integer=True, nonnegative=True)
"""A position (0-based), in per-step formulas."""

GLOSSARY: dict[str, str] = {
    "n": "sequence length; positions are t = 0 … n-1",
    "X, Y": "inputs and outputs, (n, d); d is the width of one head",
    "A (direct)": "lower triangular n×n; A[t, s] = α_ts, influence of input s on output t",
    "B (recurrent)": "strictly lower triangular n×n; B[t, s] = β_ts, influence of past output s on output t",
    "C (readout)": "lower triangular; Z = C Y; the identity when absent",
    "M": "the mixing matrix (I-B)^{-1} A, or C (I-B)^{-1} A with a readout",
    "pattern": "the pairs (t, s) a structured matrix may be non-zero at; sources(t) = its s, ascending",
    "term": "one non-zero α, β or readout coefficient: one scalar times one d-vector, added",
    "step cost": "largest number of terms of any step t < n",
    "total cost": "number of terms of all steps t < n",
    "cache size": "largest number of rows a later step still reads, after any step t < n",
    "hop": "an edge of a path x_s → y_u → … → y_t that joins two different tokens",
    "distance": "largest over s < t < n of the least hops from s to t; oo if a pair is unreachable",
    "depth": "outputs on the longest chain of dependent outputs",
    "r": "state expansion: rows of width d per cached position",
}
"""Every word and letter the toolkit prints, defined once (``glmix_theory.notation.GLOSSARY``)."""
