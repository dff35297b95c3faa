"""What of the backbone a study may set otherwise than DCGAN. Never imports torch.

A switch is the whole study's: its rows still share one backbone. Sources: Radford et al. 2015 (arXiv 1511.06434) for
the defaults; Gulrajani et al. 2017 (arXiv 1704.00028, section 5.1 and table 1) for the fully connected generator,
constant widths and the activations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal, NamedTuple

Network = Literal["dcgan", "mlp"]
GeneratorNorm = Literal["batch", "none"]
Widths = Literal["doubling", "constant"]
Activation = Literal["relu", "plain-relu", "tanh", "softplus", "gated"]
Initialisation = Literal["normal", "xavier", "kaiming"]
OutputLaw = Literal["tanh", "sigmoid", "linear"]
LatentLaw = Literal["normal", "uniform", "unit"]
Patch = Literal["whole", 46, 22]
HIDDEN_LAYERS = 4
HALVINGS: Mapping[Patch, int] = {46: 3, 22: 2}
"""How often D halves an image before its 4x4 head, so that a score sees a patch of so many pixels a side."""


class Layers(NamedTuple):
    """How one player's network is built; `width` and `depth` are units and hidden layers of an mlp."""

    network: Network
    width: int
    depth: int
    widths: Widths
    activation: Activation
    bias: bool
    initialisation: Initialisation
    patch: Patch = "whole"  # the discriminator's


@dataclass(frozen=True)
class Switches:
    """What differs from DCGAN; every default is DCGAN's. None: as `network` has it.

    network            "dcgan", or "mlp": `width` units in each of `depth` hidden layers, for both players
    generator_network  the generator's network
    generator_width    the generator's width
    generator_widths   the generator's `widths`
    depth              hidden layers of an mlp (None: 4)
    generator_norm     norm in the generator (None: batch in a dcgan, none in an mlp)
    widths             channels of a dcgan double at every halving of the map, or stay `width`
    activation         "relu": ReLU in the generator and LeakyReLU 0.2 in the discriminator; or one of "plain-relu",
                       "tanh", "softplus" (softplus(2x + 2) / 2 - 1) and "gated" (tanh(a) sigmoid(b) of twice the
                       channels) in both
    bias               biases of all layers (None: only in an mlp)
    initialisation     "normal" N(0, 0.02), or "xavier" and "kaiming" normal as torch.nn.init has them (None: normal in
                       a dcgan, kaiming in an mlp)
    output             what makes images of the generator's last layer: tanh, 2 sigmoid - 1, or nothing
    skips              whether a generator that is told pictures also meets their encoder's maps, size by size
    patch              how many pixels a side a score of the discriminator sees; below "whole" it returns a score for
                       every patch (PatchGAN, Isola et al. 2017, arXiv 1611.07004)
    """

    network: Network = "dcgan"
    generator_network: Network | None = None
    generator_width: int | None = None
    generator_widths: Widths | None = None
    depth: int | None = None
    generator_norm: GeneratorNorm | None = None
    widths: Widths = "doubling"
    activation: Activation = "relu"
    bias: bool | None = None
    initialisation: Initialisation | None = None
    output: OutputLaw = "tanh"
    skips: bool = True
    patch: Patch = "whole"

    def generator(self, width: int) -> Layers:
        """Return how the generator is built in a study of this width."""
        return self._layers(
            self.generator_network or self.network, self.generator_width or width, self.generator_widths or self.widths
        )

    def discriminator(self, width: int) -> Layers:
        """Return how the discriminator is built in a study of this width."""
        return self._layers(self.network, width, self.widths)._replace(patch=self.patch)

    @property
    def norm_of_generator(self) -> GeneratorNorm:
        if self.generator_norm is not None:
            return self.generator_norm
        return "none" if (self.generator_network or self.network) == "mlp" else "batch"

    def _layers(self, network: Network, width: int, widths: Widths) -> Layers:
        connected = network == "mlp"
        return Layers(
            network,
            width,
            self.depth or HIDDEN_LAYERS,
            widths,
            self.activation,
            connected if self.bias is None else self.bias,
            self.initialisation or ("kaiming" if connected else "normal"),
        )


def network_title(backbone: Mapping[str, Any]) -> str:
    """Return what networks a study's backbone is, as plan.json has it: "DCGAN, width 64, generator_norm none"."""
    network = backbone.get("network", "dcgan")
    shown = {key: value for key, value in backbone.items() if key in _SWITCHES and value is not None}
    shown = {key: value for key, value in shown.items() if key != "network" and value != getattr(Switches(), key)}
    words = [f"{_NAMES[network]}, width {backbone['width']}"]
    words += [f"{key} {str(value).lower()}" for key, value in shown.items()]
    return ", ".join(words)


_NAMES = {"dcgan": "DCGAN", "mlp": "MLP"}
_SWITCHES = frozenset(field.name for field in fields(Switches))
