"""A stack of mixers: what a hybrid architecture repeats, layer by layer."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from glmix_theory.errors import PatternError
from glmix_theory.mixers.mixer import Mixer


@dataclass(frozen=True)
class Stack(Sequence[Mixer]):
    """Mixers applied one after the other, with the layers' non-linear parts in between.

    A stack is not a mixer: between its layers coefficients are made anew from the outputs so far.

    Parameters
    ----------
    name : str
        What the stack is called.
    layers : tuple of Mixer
        First layer first; at least one.

    Raises
    ------
    PatternError
        No layers, or a layer that is not a mixer (says which).

    Examples
    --------
    >>> from glmix_theory.mixers import catalogue
    >>> stack = Stack("pair", (catalogue["diagonal_ssm"], catalogue["attention"]))
    >>> len(stack), stack[1]
    (2, Mixer(direct=Dense()))
    >>> print(stack)
    Stack 'pair' of 2 layers:
      0  diagonal_ssm  Mixer(direct=Diagonal(), recurrent=Lags([1]), coefficients='gated')
      1  attention     Mixer(direct=Dense())
    """

    name: str
    layers: tuple[Mixer, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        if not self.layers:
            raise PatternError(f"stack {self.name!r} has no layers; at least one mixer is needed")
        for index, layer in enumerate(self.layers):
            if not isinstance(layer, Mixer):
                raise PatternError(
                    f"layer {index} of stack {self.name!r} is a {type(layer).__name__}; a glm.Mixer is needed"
                )

    def __getitem__(self, index):  # type: ignore[no-untyped-def]
        return self.layers[index]

    def __iter__(self) -> Iterator[Mixer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __str__(self) -> str:
        width = max(len(layer.name) for layer in self.layers)
        lines = [f"  {i}  {layer.name:{width}}  {layer!r}" for i, layer in enumerate(self.layers)]
        return "\n".join([f"Stack {self.name!r} of {len(self)} layer{'s' * (len(self) != 1)}:", *lines])

    def _repr_html_(self) -> str:
        body = "".join(
            f"<tr><td>{i}</td><td>{html.escape(layer.name)}</td><td style='text-align:left'>"
            f"<code>{html.escape(repr(layer))}</code></td></tr>"
            for i, layer in enumerate(self.layers)
        )
        return f"<table><caption><strong>{html.escape(self.name)}</strong></caption>{body}</table>"
