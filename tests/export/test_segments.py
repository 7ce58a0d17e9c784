"""Padding masks and packed lengths as segments."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from glmix_theory.errors import LengthError, ShapeError
from glmix_theory.export.segments import segments_of


@given(st.lists(st.integers(1, 9), min_size=1, max_size=6), st.data())
def test_masks_and_lengths_give_the_runs(lengths: list[int], data: st.DataObject) -> None:
    n = max(lengths) + data.draw(st.integers(0, 3))
    starts = [data.draw(st.integers(0, n - length)) for length in lengths]
    mask = torch.zeros(len(lengths), n, dtype=torch.bool)
    for row, (start, length) in enumerate(zip(starts, lengths)):
        mask[row, start : start + length] = True
    expected = [[row, start, start + length] for row, (start, length) in enumerate(zip(starts, lengths))]
    assert segments_of(len(lengths), n, mask).tolist() == expected

    ends = [sum(lengths[:i]) for i in range(len(lengths) + 1)]
    packed = segments_of(1, ends[-1], cu_seqlens=torch.tensor(ends, dtype=torch.int32))
    assert packed.dtype == torch.int64
    assert packed.tolist() == [[0, start, stop] for start, stop in pairwise(ends)]


def test_neither() -> None:
    assert segments_of(2, 5) is None


@pytest.mark.parametrize(
    ("batch", "n", "options", "error", "message"),
    [
        (2, 3, {"mask": torch.ones(2, 4).bool()}, ShapeError, r"\(2, 3\) bool"),
        (2, 3, {"mask": torch.ones(2, 3)}, ShapeError, "bool is needed"),
        (1, 3, {"mask": torch.tensor([[True, False, True]])}, LengthError, r"mask\[0\] has a hole at 1"),
        (2, 2, {"mask": torch.tensor([[True, True], [False, False]])}, LengthError, r"mask\[1\] has no real"),
        (2, 3, {"cu_seqlens": torch.tensor([0, 3])}, ShapeError, "the batch is 2"),
        (1, 3, {"cu_seqlens": torch.tensor([0, 2])}, LengthError, "from 0 to n = 3"),
        (1, 3, {"cu_seqlens": torch.tensor([0, 2, 2, 3])}, LengthError, "ascending"),
        (1, 3, {"cu_seqlens": torch.tensor([1, 3])}, LengthError, "from 0"),
        (1, 3, {"cu_seqlens": torch.tensor([0.0, 3.0])}, ShapeError, "integers"),
        (1, 3, {"cu_seqlens": torch.tensor([3])}, ShapeError, "sequences"),
        (1, 1, {"cu_seqlens": torch.tensor([0, 1]), "mask": torch.ones(1, 1).bool()}, ShapeError, "both"),
    ],
)
def test_bad_input(batch: int, n: int, options: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        segments_of(batch, n, **options)
