"""The mixers with one row per position for given coefficients, forward and backward."""

from __future__ import annotations

from glmix_theory.export.kernels.rows import (
    add_rows,
    clear,
    compiled,
    copy_back,
    copy_rows,
    in_place,
    of_group,
    padded,
    product_and_spread,
    read_row,
    rows_at,
    side_by_side,
    stream_row,
    table_at,
    write_row,
)
from glmix_theory.export.kernels.vectors import behind, lanes_at, pointer_to

SOLVE_TENSORS = ("alpha", "beta", "gamma", "x", "y", "z")
SOLVE_BACKWARD_TENSORS = ("alpha", "beta", "gamma", "x", "y", "dz", "dalpha", "dbeta", "dgamma", "dx")
"""Rows of the table of tensors; edge values have one row for each group."""


@compiled
def edge_values(tensors, row, number, like):  # type: ignore[no-untyped-def]
    """The edge values of a group, by its number."""
    return behind(pointer_to(tensors[row, 0], like), number * tensors[row, 1])


@compiled
def solve_groups(like, width, groups, tables, tensors, scratch):  # type: ignore[no-untyped-def]
    """Outputs of the groups. ``scratch``: addresses of room for a group's inputs and outputs and for one row."""
    direct, recurrent, readout = table_at(tables, 0), table_at(tables, 1), table_at(tables, 2)
    x, y, z = rows_at(tensors, 3, like), rows_at(tensors, 4, like), rows_at(tensors, 5, like)
    has_readout = tables[2, 0] != 0
    wide = padded(width, lanes_at(x.numbers))
    out = pointer_to(scratch[2], like)
    whole = in_place(y.position, width, lanes_at(y.numbers))
    for g in range(len(groups)):
        group = groups[g]
        length, number = group[3], group[4]
        group_y, group_z = of_group(y, group), of_group(z, group)
        alpha, beta = edge_values(tensors, 0, number, like), edge_values(tensors, 1, number, like)
        gamma = edge_values(tensors, 2, number, like)
        values = side_by_side(of_group(x, group), x.position, length, width, pointer_to(scratch[0], like))
        outputs = group_y if whole else pointer_to(scratch[1], like)
        for t in range(length):
            clear(out, wide)
            first, last = direct.ends[t], direct.ends[t + 1]
            add_rows(direct.sources, first, last, alpha, first, values, wide, out)
            first, last = recurrent.ends[t], recurrent.ends[t + 1]
            add_rows(recurrent.sources, first, last, beta, first, outputs, wide, out)
            write_row(out, wide, outputs, t * wide)
            if not whole:
                stream_row(out, width, group_y, t * y.position)
            if has_readout:
                clear(out, wide)
                first, last = readout.ends[t], readout.ends[t + 1]
                add_rows(readout.sources, first, last, gamma, first, outputs, wide, out)
                stream_row(out, width, group_z, t * z.position)


@compiled
def _spread_part(table, t, values, slopes, buffer, row, rows, gradients, wide):  # type: ignore[no-untyped-def]
    first, last = table.ends[t], table.ends[t + 1]
    # The buffer takes the few numbers that are written behind the last edge.
    product_and_spread(table.sources, first, last, behind(values, first), 0, row, rows, gradients, wide, buffer)
    for e in range(first, last):
        slopes[e] = buffer[e - first]


@compiled
def solve_groups_backward(like, width, groups, tables, tensors, scratch):  # type: ignore[no-untyped-def]
    """Gradients of the edge values and of ``x``, by back substitution.

    ``scratch``: addresses of room for a group's inputs, outputs and the gradients of both, for one row, and
    for the numbers of the edges of a row.
    """
    direct, recurrent, readout = table_at(tables, 0), table_at(tables, 1), table_at(tables, 2)
    x, y, dz = rows_at(tensors, 3, like), rows_at(tensors, 4, like), rows_at(tensors, 5, like)
    dx = rows_at(tensors, 9, like)
    has_readout = tables[2, 0] != 0
    wide = padded(width, lanes_at(x.numbers))
    row, buffer = pointer_to(scratch[4], like), pointer_to(scratch[5], like)
    dvalues, adjoint = pointer_to(scratch[2], like), pointer_to(scratch[3], like)
    clear(row, wide)
    for g in range(len(groups)):
        group = groups[g]
        length, number = group[3], group[4]
        own_dz = of_group(dz, group)
        alpha, beta = edge_values(tensors, 0, number, like), edge_values(tensors, 1, number, like)
        gamma, dgamma = edge_values(tensors, 2, number, like), edge_values(tensors, 8, number, like)
        dalpha, dbeta = edge_values(tensors, 6, number, like), edge_values(tensors, 7, number, like)
        values = side_by_side(of_group(x, group), x.position, length, width, pointer_to(scratch[0], like))
        outputs = side_by_side(of_group(y, group), y.position, length, width, pointer_to(scratch[1], like))
        clear(dvalues, length * wide)
        if has_readout:
            clear(adjoint, length * wide)
        else:
            copy_rows(own_dz, 0, dz.position, length, width, adjoint, wide)
        for t in range(length - 1, -1, -1):
            if has_readout:
                read_row(own_dz, t * dz.position, width, row)
                _spread_part(readout, t, gamma, dgamma, buffer, row, outputs, adjoint, wide)
            read_row(adjoint, t * wide, wide, row)
            _spread_part(direct, t, alpha, dalpha, buffer, row, values, dvalues, wide)
            _spread_part(recurrent, t, beta, dbeta, buffer, row, outputs, adjoint, wide)
        copy_back(dvalues, wide, length, width, of_group(dx, group), dx.position)
