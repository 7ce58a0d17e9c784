"""Loops over one matrix of a state expansion: ``r`` padded rows of ``width`` numbers side by side."""

from __future__ import annotations

from glmix_theory.export.kernels.rows import compiled
from glmix_theory.export.kernels.vectors import add_product, behind, cast, lanes_at, load, spread, store, total


@compiled
def add_scaled(matrix, other, factors, share, r, width):  # type: ignore[no-untyped-def]
    """``matrix[i] += share · factors[i] · other[i]``."""
    for i in range(r):
        add_row(behind(matrix, i * width), share * factors[i], behind(other, i * width), width)


@compiled
def add_row(target, factor, row, width):  # type: ignore[no-untyped-def]
    """``target += factor · row``."""
    factors = spread(factor)
    for c in range(0, width, lanes_at(target)):
        store(target, c, add_product(factors, load(row, c), load(target, c)))


@compiled
def add_outer(matrix, column, share, row, r, width):  # type: ignore[no-untyped-def]
    """``matrix[i] += share · column[i] · row``."""
    for i in range(r):
        add_row(behind(matrix, i * width), share * column[i], row, width)


@compiled
def contract(column, share, matrix, r, width, row):  # type: ignore[no-untyped-def]
    """``row += share · Σ_i column[i] · matrix[i]``."""
    for c in range(0, width, lanes_at(matrix)):
        sums = load(row, c)
        for i in range(r):
            sums = add_product(spread(share * column[i]), load(matrix, i * width + c), sums)
        store(row, c, sums)


@compiled
def inner(left, right, width):  # type: ignore[no-untyped-def]
    """The scalar product of two padded rows."""
    sums = spread(cast(left, 0))
    for c in range(0, width, lanes_at(left)):
        sums = add_product(load(left, c), load(right, c), sums)
    return total(sums)


@compiled
def inner_rows(matrix, row, r, width, column):  # type: ignore[no-untyped-def]
    """``column[i] = matrix[i] · row``."""
    for i in range(r):
        column[i] = inner(behind(matrix, i * width), row, width)


@compiled
def inner_matrices(left, right, r, width, column):  # type: ignore[no-untyped-def]
    """``column[i] = left[i] · right[i]``."""
    for i in range(r):
        column[i] = inner(behind(left, i * width), behind(right, i * width), width)
