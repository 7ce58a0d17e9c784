"""What a checkpoint says beside the weights: the mixer's text and the layer's options, as a tensor of bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import torch

from glmix_theory.errors import CheckpointError, FormulaError
from glmix_theory.mixers import Mixer, parse_mixer

EXTRA = "_extra_state"
"""Key under which a module's description stands in its ``state_dict``, after its prefix."""


def written(description: dict[str, Any]) -> torch.Tensor:
    """A description as a uint8 tensor, which every format for tensors can hold.

    >>> read(written({"n_heads": 2}))
    {'n_heads': 2}
    """
    return torch.frombuffer(bytearray(json.dumps(description).encode()), dtype=torch.uint8)


def read(saved: object) -> dict[str, Any]:
    """The description that :func:`written` made.

    Raises
    ------
    CheckpointError
        It is not one.
    """
    try:
        description = json.loads(bytes(saved.cpu().tolist()))  # type: ignore[attr-defined]
    except (AttributeError, TypeError, ValueError):
        description = None
    if not isinstance(description, dict):
        raise CheckpointError(f"the entry {EXTRA!r} of the checkpoint is not what state_dict() wrote")
    return description


def described(state: Mapping[str, Any], weight: str, options: tuple[str, ...]) -> tuple[dict[str, Any], torch.Tensor]:
    """The description in a ``state_dict``, with all options named, and one of its weights.

    Raises
    ------
    CheckpointError
        One of them is missing.
    """
    for name in (EXTRA, weight):
        if name not in state:
            raise CheckpointError(
                f"the checkpoint has no entry {name!r}; give the whole state_dict() of the module itself"
            )
    description = read(state[EXTRA])
    missing = [name for name in options if name not in description]
    if missing:
        raise CheckpointError(f"the checkpoint's description lacks {', '.join(missing)}; another version wrote it")
    return description, state[weight]


def rebuilt(text: str) -> Mixer:
    """The mixer of a checkpoint.

    Raises
    ------
    CheckpointError
        Its text holds a Python function, which no text can give back.
    """
    try:
        return parse_mixer(text)
    except FormulaError as error:
        raise CheckpointError(
            f"the checkpoint's mixer {text} cannot be rebuilt from its text; build the layer with the mixer "
            f"itself and use load_state_dict ({error})"
        ) from None


def require_same(what: str, own: dict[str, Any], saved: dict[str, Any], names: tuple[str, ...]) -> None:
    """Raise unless a checkpoint describes the module it is loaded into.

    Raises
    ------
    CheckpointError
        Says the first difference, both sides of it.
    """
    for name in names:
        if own.get(name) != saved.get(name):
            raise CheckpointError(f"the checkpoint has {name} = {saved.get(name)} and the {what} has {own.get(name)}")
