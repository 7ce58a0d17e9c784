"""What ``gpu_layer.py`` measures: ours, flash attention and fla's chunked kernels, each with its own inputs."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import torch
from torch.nn.functional import normalize, scaled_dot_product_attention

import glmix_theory as glm
from glmix_theory.errors import DeviceError
from glmix_theory.export.inputs import Inputs

OURS = {
    "2^k": glm.catalogue["exponential_recurrence"],
    "2^k, cache-efficient": glm.Mixer(recurrent=glm.CacheEfficient(2**glm.k)),
    "k²+1": glm.catalogue["quadratic_recurrence"],
}
FLASH, DELTA, LOG_LINEAR = "flash SDPA", "fla delta rule", "fla log-linear"

Call = Callable[[], object]
Competitor = Callable[[], tuple[Callable[..., torch.Tensor], list[torch.Tensor]]]
"""Makes a function and the tensors it is differentiated in."""


def competitors(device: torch.device, programs: int, n: int, width: int) -> dict[str, Competitor]:
    """Ours, flash attention and fla's, by name; inputs are made before the clock starts."""

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, device=device, dtype=torch.bfloat16)

    def leaves(*tensors: torch.Tensor) -> list[torch.Tensor]:
        return [tensor.requires_grad_() for tensor in tensors]

    @cache
    def rows() -> list[torch.Tensor]:
        return leaves(*(draw(1, programs, n, width) for _ in range(3)))

    @cache
    def by_position() -> list[torch.Tensor]:
        """In fla positions come before heads, and keys of a delta rule have length 1."""
        q, k, v = (draw(1, n, programs, width) for _ in range(3))
        return leaves(q, normalize(k, dim=3), v)

    @cache
    def strengths() -> list[torch.Tensor]:
        return leaves(draw(1, n, programs).sigmoid())

    @cache
    def decays_and_scales() -> list[torch.Tensor]:
        return leaves(-draw(1, n, programs).float().exp(), draw(1, n, programs, levels(n)))

    backend = "triton" if device.type == "cuda" else "torch"
    return {
        **{
            name: lambda mixer=mixer: (lambda q, k, v: glm.mix(mixer, q, k, v, backend=backend), rows())
            for name, mixer in OURS.items()
        },
        FLASH: lambda: (_flash, rows()),
        DELTA: lambda: (delta_rule(device), [*by_position(), *strengths()]),
        LOG_LINEAR: lambda: (log_linear(device), [*by_position(), *decays_and_scales()]),
    }


def levels(n: int) -> int:
    """Levels of a Fenwick tree over ``n`` positions: the own one, and one for each power of two below ``n``."""
    return (n - 1).bit_length() + 1


def delta_rule(device: torch.device) -> Callable[..., torch.Tensor]:
    """fla's, of ``q, k, v`` ``(1, n, heads, width)`` in half precision and strengths ``(1, n, heads)``."""
    _require_cuda(device)
    from fla.ops.delta_rule import chunk_delta_rule

    return lambda q, k, v, strengths: chunk_delta_rule(q, k, v, strengths)[0]


def log_linear(device: torch.device) -> Callable[..., torch.Tensor]:
    """fla's, of ``q, k, v`` as above, fp32 logarithms of decays, and level scales ``(1, n, heads, levels)``.

    Scales have the dtype of ``v``, or the kernel does not compile: it multiplies ``v`` by a product with them.
    """
    _require_cuda(device)
    from fla.ops.log_linear_attn import chunk_log_linear_attn

    return lambda q, k, v, decays, scales: chunk_log_linear_attn(q, k, v, decays, scales)[0]


def _require_cuda(device: torch.device) -> None:
    if device.type != "cuda":
        raise DeviceError(f"fla's kernels run on cuda, and the tensors are on {device.type}")


def _flash(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, causal: bool = True) -> torch.Tensor:
    if q.device.type != "cuda":
        return scaled_dot_product_attention(q, k, v, is_causal=causal)
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        return scaled_dot_product_attention(q, k, v, is_causal=causal)


def forward(make: Competitor) -> Call:
    """A call without gradients."""
    function, tensors = make()

    def call() -> object:
        with torch.no_grad():
            return function(*tensors)

    return call


def forward_and_backward(make: Competitor) -> Call:
    """A call with the gradients of all tensors."""
    function, tensors = make()

    def call() -> object:
        z = function(*tensors)
        return torch.autograd.grad(z, tensors, torch.ones_like(z))

    return call


def attention_step(device: torch.device, programs: int, n: int, width: int) -> Call:
    """Attention of one query over ``n`` rows, as a graph."""
    q, k, v = (torch.randn(1, programs, m, width, device=device, dtype=torch.bfloat16) for m in (1, n, n))
    return captured(device, partial(_flash, q, k, v, causal=False))


def decode_step(device: torch.device, mixer: glm.Mixer, programs: int, n: int, width: int) -> Call:
    """A launch of our decode kernel that always takes step ``n``."""
    from glmix_theory.export.projections import Projected
    from glmix_theory.export.stepping import Rule
    from glmix_theory.export.triton import decode

    rule = Rule.of(mixer, Projected.of(mixer, width, "auto", False), programs)
    plan = glm.SlotPlan(mixer)
    storage = torch.randn(plan.peak(n + 1), 1, *rule.slot_shape, device=device).to(torch.bfloat16)
    steps = decode.DeviceSteps.of(plan, n, n + 1, programs, device)
    rows = [torch.randn(1, programs, 1, width, device=device, dtype=torch.bfloat16) for _ in range(3)]
    none = torch.empty(1, device=device, dtype=torch.float64)
    z = torch.empty(1, programs, width, device=device, dtype=torch.bfloat16)

    def call() -> None:
        decode.step(rule, steps, Inputs(*rows), storage, none, none, z)
        steps.position.zero_()

    return captured(device, call)


def captured(device: torch.device, call: Call) -> Call:
    """The call as a CUDA graph, so that launching from Python is not what is measured."""
    if device.type != "cuda":
        return call
    call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()

    def replay(kept: Call = call) -> None:  # the graph reads the tensors of the call by their addresses
        graph.replay()

    return replay
