"""What papers state of losses on several architectures, as published: none of it is ours. Never imports torch."""

from __future__ import annotations

from typing import NamedTuple

SOURCE = "Gulrajani et al. 2017, arXiv 1704.00028, table 2"
PROTOCOL = (
    "200 random architectures (activation of both players ReLU, LeakyReLU, softplus or tanh; depth 4, 8, 12 or 20; "
    "with or without batch norm, layer norm in WGAN-GP’s critic; 32, 64 or 128 base filters) on ImageNet at 32×32, "
    "100,000 generator iterations, one training each; a success is a final Inception score above the minimum"
)


class Successes(NamedTuple):
    """Architectures on which a final Inception score exceeded `minimum`: by which loss. They add up to 200."""

    minimum: float
    only_gan: int
    only_wgan_gp: int
    both: int
    neither: int


SUCCESSES = (
    Successes(1.0, 0, 8, 192, 0),
    Successes(1.5, 0, 50, 150, 0),
    Successes(2.0, 0, 60, 140, 0),
    Successes(2.5, 0, 74, 125, 1),
    Successes(3.0, 1, 88, 110, 1),
    Successes(3.5, 0, 111, 86, 3),
    Successes(4.0, 1, 126, 67, 6),
    Successes(4.5, 0, 136, 55, 9),
    Successes(5.0, 0, 147, 42, 11),
    Successes(5.5, 0, 148, 32, 20),
    Successes(6.0, 0, 145, 21, 34),
    Successes(6.5, 1, 131, 11, 57),
    Successes(7.0, 1, 104, 5, 90),
    Successes(7.5, 2, 67, 3, 128),
    Successes(8.0, 1, 34, 0, 165),
    Successes(8.5, 0, 6, 0, 194),
    Successes(9.0, 0, 0, 0, 200),
)

SEVEN_SOURCE = "Gulrajani et al. 2017, arXiv 1704.00028, section 5.1 and figure 2"
SEVEN_WORDS = (
    "LSUN bedrooms at 64×64, 200,000 iterations, four methods, judged by samples alone; by the authors’ account "
    "WGAN-GP alone trained every one with one setting."
)
SEVEN = (
    ("baseline", "DCGAN", "DCGAN"),
    ("no batch norm, constant filters in G", "64 filters in every layer, no norm", "DCGAN with batch norm"),
    ("MLP in G", "four ReLU layers of 512", "DCGAN"),
    ("no norm in either", "DCGAN without batch norm", "DCGAN without batch norm"),
    ("gated", "tanh(a) sigmoid(b) in every layer", "the same"),
    ("tanh", "tanh in every layer, batch norm kept", "the same"),
    ("101-layer ResNet", "bottleneck blocks, 6 per size", "ResNet"),
)
"""An arm, its generator and its discriminator."""
