"""Optimisers, learning rates, and torch settings for a run."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from napari_brain_tumor_training.config import OptimisationConfig


def learning_rate_at(step: int, plan: OptimisationConfig) -> float:
    """Return the learning rate: linear warm-up, then cosine or polynomial decay to zero, or constant."""
    total = plan.epochs * plan.iterations_per_epoch
    warmup = max(1, round(plan.warmup_fraction * total))
    if step < warmup:
        return plan.learning_rate * (step + 1) / warmup
    fraction = min(1.0, (step - warmup) / max(1, total - warmup))
    if plan.schedule == "cosine":
        return plan.learning_rate * 0.5 * (1 + math.cos(math.pi * fraction))
    return plan.learning_rate * (math.pow(1 - fraction, plan.poly_power) if plan.schedule == "poly" else 1.0)


def optimiser_for(network: nn.Module, plan: OptimisationConfig) -> torch.optim.Optimizer:
    """Return the optimiser for the parameters that are not frozen."""
    parameters = [p for p in network.parameters() if p.requires_grad]
    if plan.optimiser == "sgd":
        return torch.optim.SGD(
            parameters, plan.learning_rate, momentum=plan.momentum, weight_decay=plan.weight_decay,
            nesterov=plan.momentum > 0,
        )  # fmt: skip
    return torch.optim.AdamW(parameters, plan.learning_rate, weight_decay=plan.weight_decay)


@contextmanager
def torch_settings(plan: OptimisationConfig) -> Iterator[None]:
    """Use bitwise reproducible operations within the context if `deterministic`; otherwise cuDNN picks the fastest."""
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    # Some layers of 3D networks have no deterministic operation on GPUs; torch then warns and continues.
    torch.use_deterministic_algorithms(plan.deterministic, warn_only=True)
    torch.backends.cudnn.benchmark = not plan.deterministic
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.benchmark = before[1]
