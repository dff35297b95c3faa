"""Input pictures: how a generator is told what it is to translate (pix2pix, Isola et al., arXiv 1611.07004).

An encoder halves the picture as D's trunk does an image, down to a code that goes beside the latent. The maps on the
way down meet those of their size on the way up again (skips). As with labels, what is added to the decoder are kernels
of their own, each added to the output of the one whose further input channels it stands for.
"""

from __future__ import annotations

from torch import Tensor, nn

from bench.networks.layers import Conv2d, Norm, build_trunk, decoding, top_channels
from bench.networks.switches import Layers

CHANNELS = 3  # of a picture


class PictureEncoder(nn.Module):
    """Maps pictures N x 3 x R x R to a code N x latent, and to the map after every halving, from R/2 down to 4 pixels.

    The convolutions and their activations are those of D's trunk; `norm` follows all but the first.
    """

    def __init__(self, layers: Layers, resolution: int, latent: int, norm: Norm) -> None:
        super().__init__()
        self.trunk = build_trunk(layers, resolution, norm, packing=1, running=True)
        self.head = Conv2d(top_channels(layers, resolution), latent, stride=1, padding=0, bias=layers.bias)

    def forward(self, pictures: Tensor) -> tuple[Tensor, list[Tensor]]:
        maps = []
        for name, layer in self.trunk.named_children():
            pictures = layer(pictures)
            if name.startswith("activation"):
                maps.append(pictures)
        return self.head(pictures).flatten(1), maps


def build_skips(layers: Layers, decoder: nn.Sequential) -> nn.ModuleDict:
    """Return the kernels through which a decoder's convolutions but the first take the encoder's maps, by their names.

    The map of a size has as many channels as the decoder's own input of that size.
    """
    convolutions = [(name, layer) for name, layer in decoder.named_children() if name.startswith("conv")]
    return nn.ModuleDict(
        {
            name: decoding(layers, layer.in_channels, layer.out_channels, first=False, bias=False)  # type: ignore[arg-type]
            for name, layer in convolutions[1:]
        }
    )
