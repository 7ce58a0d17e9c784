"""From the scores of one row to its coefficients, and back: the kinds of :mod:`glmix_theory.export.kinds`.

A row's numbers lie in one buffer: direct edges from 0, recurrent ones from a second place on. Each buffer
has room for two vectors more than a row has edges.
"""

from __future__ import annotations

import math

import numpy as np

from glmix_theory.export.kernels.rows import compiled, padded, score_rows
from glmix_theory.export.kernels.vectors import (
    add_product,
    cast,
    exponential,
    greatest,
    lanes_at,
    larger,
    load,
    product,
    spread,
    store,
    total,
)
from glmix_theory.export.kinds import KINDS

SOFTMAX, CHACAL, SIGNED = KINDS.index("softmax"), KINDS.index("chacal"), KINDS.index("signed")
GATED, FIXED, DELTA = KINDS.index("gated"), KINDS.index("fixed"), KINDS.index("delta")


@compiled
def sigmoid(x):  # type: ignore[no-untyped-def]
    """``1 / (1 + exp(-x))``."""
    return 1.0 / (1.0 + math.exp(-np.float64(x)))


@compiled
def log_sigmoid(x):  # type: ignore[no-untyped-def]
    """``log(sigmoid(x))`` without overflow."""
    x = np.float64(x)
    return min(x, 0.0) - math.log1p(math.exp(-abs(x)))


@compiled
def softmax(scores, first, last):  # type: ignore[no-untyped-def]
    """The softmax of a stretch, in place; zeros where every score is ``-inf``. Numbers behind are overwritten."""
    lanes = lanes_at(scores)
    if last == first:
        return
    end = first + (last - first + lanes - 1) // lanes * lanes
    for i in range(last, end):
        scores[i] = -np.inf
    most = load(scores, first)
    for i in range(first + lanes, end, lanes):
        most = larger(most, load(scores, i))
    top = greatest(most)
    if top == -np.inf:
        top = cast(scores, 0)
    down, one = spread(-top), spread(cast(scores, 1))
    sums = spread(cast(scores, 0))
    for i in range(first, end, lanes):
        power = exponential(add_product(one, load(scores, i), down))
        store(scores, i, power)
        sums = add_product(one, power, sums)
    whole = total(sums)
    if whole == 0:
        return
    scale = spread(cast(scores, 1) / whole)
    for i in range(first, end, lanes):
        store(scores, i, product(load(scores, i), scale))


@compiled
def softmax_slopes(weights, first, last, slopes):  # type: ignore[no-untyped-def]
    """Gradients of the weights to gradients of the scores, in place."""
    mean = cast(weights, 0)
    for i in range(first, last):
        mean += weights[i] * slopes[i]
    for i in range(first, last):
        slopes[i] = weights[i] * (slopes[i] - mean)


@compiled
def signed(scores, first, last, shares):  # type: ignore[no-untyped-def]
    """``sinh(s) / Σ cosh(s)`` in place, and ``cosh(s) / Σ cosh(s)`` in ``shares``."""
    lanes = lanes_at(scores)
    if last == first:
        return
    end = first + (last - first + lanes - 1) // lanes * lanes
    for i in range(last, end):
        scores[i] = 0
    one, minus = spread(cast(scores, 1)), spread(cast(scores, -1))
    most = spread(cast(scores, 0))
    for i in range(first, end, lanes):
        score = load(scores, i)
        most = larger(most, larger(score, product(minus, score)))
    down = spread(-greatest(most))
    for i in range(first, end, lanes):
        score = load(scores, i)
        up, low = exponential(add_product(one, score, down)), exponential(add_product(minus, score, down))
        store(scores, i, add_product(minus, low, up))
        store(shares, i, add_product(one, low, up))
    whole = cast(scores, 0)
    for i in range(first, last):
        whole += shares[i]
    for i in range(first, last):
        scores[i] /= whole
        shares[i] /= whole


@compiled
def signed_slopes(weights, first, last, shares, slopes):  # type: ignore[no-untyped-def]
    """The gradient of :func:`signed`, in place."""
    mean = cast(weights, 0)
    for i in range(first, last):
        mean += weights[i] * slopes[i]
    for i in range(first, last):
        slopes[i] = shares[i] * slopes[i] - mean * weights[i]


@compiled
def bounded(weights, first, last, original):  # type: ignore[no-untyped-def]
    """``w / max(1, Σ|w|)`` in place; ``original`` keeps ``w``."""
    size = cast(weights, 0)
    for i in range(first, last):
        original[i] = weights[i]
        size += abs(weights[i])
    if size > 1:
        for i in range(first, last):
            weights[i] /= size


@compiled
def bounded_slopes(original, weights, first, last, slopes):  # type: ignore[no-untyped-def]
    """The gradient of :func:`bounded`, in place; ``original`` holds what it was given."""
    size, mean = cast(weights, 0), cast(weights, 0)
    for i in range(first, last):
        size += abs(original[i])
        mean += weights[i] * slopes[i]
    if size > 1:
        for i in range(first, last):
            sign = cast(weights, 1 if original[i] > 0 else (-1 if original[i] < 0 else 0))
            slopes[i] = (slopes[i] - sign * mean) / size


@compiled
def add_bias_slopes(classes, first, last, slopes, place, gradient):  # type: ignore[no-untyped-def]
    """Add each edge's slope to the gradient of its class, in fp64."""
    for e in range(first, last):
        gradient[classes[e]] += slopes[place + e - first]


@compiled
def part_scores(kind, table, t, query, keys, width, has_bias, bias, scores, place):  # type: ignore[no-untyped-def]
    """The scores of a row's edges of one part from ``place`` on; returns their number."""
    first, last = table.ends[t], table.ends[t + 1]
    if kind == FIXED:
        for e in range(first, last):
            scores[place + e - first] = bias[table.classes[e]]
    else:
        score_rows(table.sources, first, last, query, keys, width, scores, place)
        if has_bias:
            for e in range(first, last):
                scores[place + e - first] += bias[table.classes[e]]
    return last - first


@compiled
def row_weights(  # type: ignore[no-untyped-def]
    kind, has_readout, direct, recurrent, t, query, keys, width, has_bias, biases, gate, strength, weights, shares
):
    """α and β of row ``t``, for "gated" and for "chacal" with a readout before their gates.

    ``gate`` and ``strength`` are logits of the row. Returns the number of direct edges, the place of the
    recurrent ones and their number. ``shares`` keeps what the gradient needs besides the weights.
    """
    if kind == DELTA:
        first, last = recurrent.ends[t], recurrent.ends[t + 1]
        score_rows(recurrent.sources, first, last, query, keys, width, shares, 1)
        correction = cast(weights, sigmoid(strength))
        weights[0] = correction
        for i in range(1, 1 + last - first):
            weights[i] = -correction * shares[i]
        return 1, 1, last - first
    count = part_scores(kind, direct, t, query, keys, width, has_bias, biases[0], weights, 0)
    place = count
    if kind == GATED or (kind == CHACAL and has_readout):
        softmax(weights, 0, count)
        place = padded(count, lanes_at(weights))
    number = part_scores(kind, recurrent, t, query, keys, width, has_bias, biases[1], weights, place)
    end = place + number
    if kind == GATED:
        softmax(weights, place, end)
    elif kind == CHACAL and has_readout:
        own = cast(weights, 0)
        for c in range(width):
            own += query[c] * keys[t * width + c]
        weights[end] = own
        softmax(weights, place, end + 1)
    elif kind == SIGNED:
        signed(weights, 0, end, shares)
    elif kind == FIXED:
        bounded(weights, 0, end, shares)
    else:
        if kind == CHACAL:
            kept, new = cast(weights, log_sigmoid(gate)), cast(weights, log_sigmoid(-gate))
            for i in range(count):
                weights[i] += new
            for i in range(place, end):
                weights[i] += kept
        softmax(weights, 0, end)
    return count, place, number


@compiled
def row_slopes(kind, has_readout, count, place, number, gate, strength, weights, shares, slopes):  # type: ignore[no-untyped-def]
    """Gradients of the weights to gradients of the scores, in place; returns those of gate and strength logits.

    The gradient of gates that multiply whole sums is left to the caller.
    """
    end = place + number
    if kind == DELTA:
        correction = sigmoid(strength)
        gradient = np.float64(slopes[0])
        for i in range(1, end):
            gradient -= np.float64(slopes[i]) * shares[i]
            slopes[i] *= -weights[0]
        return 0.0, gradient * correction * (1.0 - correction)
    if kind == GATED or (kind == CHACAL and has_readout):
        softmax_slopes(weights, 0, count, slopes)
        if kind == CHACAL:
            slopes[end] = 0
            end += 1
        softmax_slopes(weights, place, end, slopes)
    elif kind == SIGNED:
        signed_slopes(weights, 0, end, shares, slopes)
    elif kind == FIXED:
        bounded_slopes(shares, weights, 0, end, slopes)
    else:
        softmax_slopes(weights, 0, end, slopes)
        if kind == CHACAL:
            past, new = 0.0, 0.0
            for i in range(count):
                new += slopes[i]
            for i in range(place, end):
                past += slopes[i]
            return past * sigmoid(-gate) - new * sigmoid(gate), 0.0
    return 0.0, 0.0


@compiled
def readout_weights(kind, readout, t, query, keys, width, has_bias, bias, weights, shares):  # type: ignore[no-untyped-def]
    """γ of row ``t``, for "chacal" before its gate; returns the number of edges."""
    number = part_scores(kind, readout, t, query, keys, width, has_bias, bias, weights, 0)
    if kind == SIGNED:
        signed(weights, 0, number, shares)
    elif kind == FIXED:
        bounded(weights, 0, number, shares)
    elif kind != DELTA:
        softmax(weights, 0, number)
    return number


@compiled
def readout_slopes(kind, number, weights, shares, slopes):  # type: ignore[no-untyped-def]
    """Gradients of γ to gradients of the scores, in place."""
    if kind == SIGNED:
        signed_slopes(weights, 0, number, shares, slopes)
    elif kind == FIXED:
        bounded_slopes(shares, weights, 0, number, slopes)
    elif kind != DELTA:
        softmax_slopes(weights, 0, number, slopes)
