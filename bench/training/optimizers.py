"""Adam, RMSProp and SGD as a recipe states them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench.config.recipe import Recipe


def make_optimizer(
    network: nn.Module, recipe: Recipe, learning_rate: float, *, share: float = 1.0
) -> torch.optim.Optimizer:
    """Return the recipe's optimiser of the network's parameters, for steps that count as `share` of one."""
    parameters, decay = network.parameters(), recipe.weight_decay
    if recipe.optimizer == "adam":
        first, second = recipe.betas
        return torch.optim.Adam(
            parameters,
            lr=learning_rate * share,
            betas=(first**share, second**share),
            eps=recipe.epsilon,
            weight_decay=decay,
            fused=True,
        )
    if recipe.optimizer == "sgd":
        momentum = recipe.momentum**share if recipe.momentum else 0.0
        return torch.optim.SGD(parameters, lr=learning_rate * share, momentum=momentum, weight_decay=decay, fused=True)
    alpha = recipe.alpha**share
    return torch.optim.RMSprop(
        parameters, lr=learning_rate * share, alpha=alpha, eps=recipe.epsilon, weight_decay=decay
    )


def parameters_of(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Return what an optimiser moves."""
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]
