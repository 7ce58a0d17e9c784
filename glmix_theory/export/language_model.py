"""A small language model over a mixer: enough to train on bytes and to generate from the cache."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from glmix_theory.errors import CacheError, DtypeError, LengthError, ShapeError, check_length
from glmix_theory.export.decode import Cache
from glmix_theory.export.layer import GLMixer
from glmix_theory.mixers import Mixer


class Block(nn.Module):
    """Pre-norm residual block: a mixer, then a two-layer perceptron four times as wide."""

    def __init__(self, mixer: Mixer, d_model: int, n_heads: int, backend: str) -> None:
        super().__init__()
        self.mixer_norm = nn.RMSNorm(d_model)
        self.mixer = GLMixer(mixer, d_model, n_heads, backend=backend)
        self.perceptron_norm = nn.RMSNorm(d_model)
        self.perceptron = nn.Sequential(nn.Linear(d_model, 4 * d_model), nn.GELU(), nn.Linear(4 * d_model, d_model))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(batch, n, d_model)`` to the same."""
        return self._after(x, self.mixer(self.mixer_norm(x)))

    def prefill(self, x: torch.Tensor, horizon: int | None) -> tuple[torch.Tensor, Cache]:
        """As :meth:`forward`, with the mixer's cache."""
        mixed, cache = self.mixer.prefill(self.mixer_norm(x), horizon)
        return self._after(x, mixed), cache

    def step(self, x_t: torch.Tensor, cache: Cache) -> torch.Tensor:
        """``(batch, d_model)`` to the same; the cache changes in place."""
        return self._after(x_t, self.mixer.step(self.mixer_norm(x_t), cache)[0])

    def _after(self, x: torch.Tensor, mixed: torch.Tensor) -> torch.Tensor:
        x = x + mixed
        result: torch.Tensor = x + self.perceptron(self.perceptron_norm(x))
        return result


class GLMLanguageModel(nn.Module):
    """Embedding, pre-norm blocks (mixer and perceptron), and a head tied to the embedding.

    Parameters
    ----------
    mixer : Mixer or sequence of Mixer
        One for all layers, or one for each (a hybrid stack).
    vocabulary : int
        Number of tokens; 256 for bytes.
    d_model, n_heads, n_layers : int
        Width, heads of each mixer, blocks.
    backend : str
        See :func:`glmix_theory.export.functional.mix`.

    Raises
    ------
    ShapeError
        ``d_model`` is not a multiple of ``n_heads``, or not one mixer per layer.

    Examples
    --------
    >>> import torch, glmix_theory as glm
    >>> mixer = glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k))
    >>> model = GLMLanguageModel(mixer, vocabulary=11, d_model=16, n_heads=2, n_layers=2)
    >>> tokens = torch.arange(10).reshape(1, 10)
    >>> model(tokens).shape, model.loss(tokens).shape
    (torch.Size([1, 10, 11]), torch.Size([]))
    >>> model.generate(tokens, 6, temperature=0).shape, [cache.rows for cache in model.caches]
    (torch.Size([1, 16]), [4, 4])
    """

    def __init__(
        self,
        mixer: Mixer | Sequence[Mixer],
        vocabulary: int = 256,
        d_model: int = 128,
        n_heads: int = 4,
        n_layers: int = 2,
        *,
        backend: str = "auto",
    ) -> None:
        super().__init__()
        self.vocabulary = check_length(vocabulary, "vocabulary")
        mixers = [mixer] * check_length(n_layers, "n_layers") if isinstance(mixer, Mixer) else list(mixer)
        if len(mixers) != n_layers:
            raise ShapeError(f"{len(mixers)} mixers were given for {n_layers} layers; give one, or one each")
        self.embedding = nn.Embedding(self.vocabulary, d_model)
        self.blocks = nn.ModuleList(Block(one, d_model, n_heads, backend) for one in mixers)
        self.norm = nn.RMSNorm(d_model)
        nn.init.normal_(self.embedding.weight, std=d_model**-0.5)
        self.caches: list[Cache] = []
        """The caches of the latest :meth:`generate`, one for each layer."""

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Logits of the next token at every position: ``(batch, n)`` int64 to ``(batch, n, vocabulary)``."""
        x = self._embedded(tokens, 2)
        for block in self.blocks:
            x = block(x)
        return self._logits(x)

    def loss(self, tokens: torch.Tensor) -> torch.Tensor:
        """Mean cross-entropy of each token given those before it, in nats: ``(batch, n ≥ 2)`` to a scalar."""
        if tokens.dim() != 2 or tokens.shape[1] < 2:
            raise ShapeError(f"tokens have shape {tuple(tokens.shape)}; (batch, n) with n ≥ 2 is needed")
        logits = self(tokens[:, :-1])
        return functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten())

    def prefill(self, tokens: torch.Tensor, horizon: int | None = None) -> tuple[torch.Tensor, list[Cache]]:
        """As :meth:`forward`, with one cache for each layer."""
        x = self._embedded(tokens, 2)
        caches = []
        for block in self.blocks:
            x, cache = block.prefill(x, horizon)  # type: ignore[operator]
            caches.append(cache)
        return self._logits(x), caches

    @torch.no_grad()
    def step(self, token: torch.Tensor, caches: list[Cache]) -> torch.Tensor:
        """Logits after one more token, ``(batch,)`` int64 to ``(batch, vocabulary)``; changes the caches."""
        if len(caches) != len(self.blocks):
            raise CacheError(f"{len(caches)} caches were given; {len(self.blocks)} are needed, one a layer")
        x = self._embedded(token, 1)
        for block, cache in zip(self.blocks, caches):
            x = block.step(x, cache)  # type: ignore[operator]
        return self._logits(x)

    @torch.no_grad()
    def generate(
        self,
        tokens: torch.Tensor,
        number: int,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> torch.Tensor:
        """Continue each sequence by ``number`` tokens, from the caches alone.

        Parameters
        ----------
        tokens : int64 tensor (batch, n)
            The prompt.
        number : int
            Tokens to add.
        temperature : float
            Of the sampling; 0 takes the likeliest token.
        generator : torch.Generator, optional
            Source of randomness.

        Returns
        -------
        int64 tensor (batch, n + number)
            Prompt and continuation; :attr:`caches` holds the caches used.
        """
        number = check_length(number, "number", 0)
        if not temperature >= 0:
            raise LengthError(f"temperature = {temperature!r} is below 0; 0 takes the likeliest token")
        horizon = tokens.shape[-1] + max(number - 1, 0)  # the last token is never fed back
        logits, self.caches = self.prefill(tokens, horizon)
        logits, pieces = logits[:, -1], [tokens]
        for index in range(number):
            if index:
                logits = self.step(pieces[-1][:, 0], self.caches)
            if temperature == 0:
                chosen = logits.argmax(dim=-1, keepdim=True)
            else:
                chances = (logits / temperature).softmax(dim=-1)
                chosen = torch.multinomial(chances, 1, generator=generator)
            pieces.append(chosen)
        return torch.cat(pieces, dim=1)

    def __getstate__(self) -> dict[str, object]:
        # Caches belong to the layers they were made by, so a copied or saved model has none.
        return {**super().__getstate__(), "caches": []}

    def _logits(self, x: torch.Tensor) -> torch.Tensor:
        return functional.linear(self.norm(x), self.embedding.weight)

    def _embedded(self, tokens: torch.Tensor, axes: int) -> torch.Tensor:
        if not isinstance(tokens, torch.Tensor) or tokens.dtype not in (torch.int64, torch.int32):
            kind = getattr(tokens, "dtype", type(tokens).__name__)
            raise DtypeError(f"tokens are {kind}; a torch.int64 tensor is needed")
        if tokens.dim() != axes or 0 in tokens.shape:
            needed = "(batch, n)" if axes == 2 else "(batch,)"
            raise ShapeError(f"tokens have shape {tuple(tokens.shape)}; {needed} is needed, each at least 1")
        if tokens.device.type == "cpu" and (int(tokens.min()) < 0 or int(tokens.max()) >= self.vocabulary):
            worst = int(tokens.min()) if int(tokens.min()) < 0 else int(tokens.max())
            raise LengthError(f"token {worst} is outside the vocabulary; tokens are 0 … {self.vocabulary - 1}")
        embedded: torch.Tensor = self.embedding(tokens)
        return embedded
