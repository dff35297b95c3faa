"""The FID's Inception network, rearranged to give the same features in less time on a processor.

What is saved: batch norms are folded into the convolutions; the 1 x 1 convolutions that open a block's branches are
one; averaging neighbours comes after the 1 x 1 convolution that followed it, on fewer channels (both are linear, and
the weights of an average sum to 1); ReLU comes after max pooling, on a quarter of the values; maps lie channels last;
and the first layers, whose maps are the largest, see few images at a time, so that a map is still in the processor's
cache when the next layer reads it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn, split
from torch.nn.functional import avg_pool2d, conv2d, max_pool2d
from torch.nn.utils.fusion import fuse_conv_bn_weights

_EARLY_IMAGES = 4
_LAST = torch.channels_last


class Inception(nn.Module):
    """Images N x 3 x 299 x 299 in [-1, 1], channels last -> pooled features N x 2048.

    Built from torch-fidelity's `FeatureExtractorInceptionV3`, whose features it gives to about 4e-7.
    """

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.early = nn.Sequential(
            _Conv(network.Conv2d_1a_3x3),
            _Conv(network.Conv2d_2a_3x3),
            _Conv(network.Conv2d_2b_3x3, relu=False),
            nn.MaxPool2d(3, 2),
            nn.ReLU(inplace=True),
            _Conv(network.Conv2d_3b_1x1),
            _Conv(network.Conv2d_4a_3x3, relu=False),
            nn.MaxPool2d(3, 2),
            nn.ReLU(inplace=True),
            *(_BlockA(network.get_submodule(f"Mixed_5{letter}")) for letter in "bcd"),
            _BlockB(network.Mixed_6a),
        )
        self.late = nn.Sequential(
            *(_BlockC(network.get_submodule(f"Mixed_6{letter}")) for letter in "bcde"),
            _BlockD(network.Mixed_7a),
            _BlockE(network.Mixed_7b, max_pool=False),
            _BlockE(network.Mixed_7c, max_pool=True),
        )
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Tensor:
        few = split(images, _EARLY_IMAGES) if images.device.type == "cpu" else (images,)
        maps: Tensor = self.late(torch.cat([self.early(part) for part in few]))
        return maps.mean(dim=(2, 3))


class _Conv(nn.Module):
    """Convolutions of the same input as one, each with its batch norm folded in, and ReLU in place."""

    weight: Tensor
    bias: Tensor

    def __init__(self, *layers: Any, relu: bool = True) -> None:
        super().__init__()
        folded = [fuse_conv_bn_weights(layer.conv.weight, None, *_statistics(layer.bn)) for layer in layers]
        weight = torch.cat([weight for weight, _ in folded])
        self.register_buffer("weight", weight.contiguous(memory_format=_LAST))
        self.register_buffer("bias", torch.cat([bias for _, bias in folded]))
        self.channels = [len(bias) for _, bias in folded]
        self.stride, self.padding = layers[0].conv.stride, layers[0].conv.padding
        self.relu = relu

    def forward(self, maps: Tensor) -> Tensor:
        out = conv2d(maps, self.weight, self.bias, self.stride, self.padding)
        return out.relu_() if self.relu else out

    def branches(self, maps: Tensor) -> tuple[Tensor, ...]:
        """Return each convolution's own output, as views of one."""
        return split(self(maps), self.channels, dim=1)


def _statistics(norm: nn.BatchNorm2d) -> tuple[Any, ...]:
    return norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias


class _BlockA(nn.Module):
    def __init__(self, block: Any) -> None:
        super().__init__()
        self.first = _Conv(block.branch1x1, block.branch5x5_1, block.branch3x3dbl_1, block.branch_pool, relu=False)
        self.five = _Conv(block.branch5x5_2)
        self.deep = nn.Sequential(_Conv(block.branch3x3dbl_2), _Conv(block.branch3x3dbl_3))

    def forward(self, maps: Tensor) -> Tensor:
        one, five, deep, pool = self.first.branches(maps)
        return torch.cat([one.relu(), self.five(five.relu()), self.deep(deep.relu()), _average(pool).relu_()], 1)


class _BlockB(nn.Module):
    def __init__(self, block: Any) -> None:
        super().__init__()
        self.three = _Conv(block.branch3x3)
        self.deep = _chain(block.branch3x3dbl_1, block.branch3x3dbl_2, block.branch3x3dbl_3)

    def forward(self, maps: Tensor) -> Tensor:
        return torch.cat([self.three(maps), self.deep(maps), max_pool2d(maps, 3, 2)], 1)


class _BlockC(nn.Module):
    def __init__(self, block: Any) -> None:
        super().__init__()
        self.first = _Conv(block.branch1x1, block.branch7x7_1, block.branch7x7dbl_1, block.branch_pool, relu=False)
        self.seven = _chain(block.branch7x7_2, block.branch7x7_3)
        self.deep = _chain(block.branch7x7dbl_2, block.branch7x7dbl_3, block.branch7x7dbl_4, block.branch7x7dbl_5)

    def forward(self, maps: Tensor) -> Tensor:
        one, seven, deep, pool = self.first.branches(maps)
        return torch.cat([one.relu(), self.seven(seven.relu()), self.deep(deep.relu()), _average(pool).relu_()], 1)


class _BlockD(nn.Module):
    def __init__(self, block: Any) -> None:
        super().__init__()
        self.first = _Conv(block.branch3x3_1, block.branch7x7x3_1, relu=False)
        self.three = _Conv(block.branch3x3_2)
        self.seven = _chain(block.branch7x7x3_2, block.branch7x7x3_3, block.branch7x7x3_4)

    def forward(self, maps: Tensor) -> Tensor:
        three, seven = self.first.branches(maps)
        return torch.cat([self.three(three.relu()), self.seven(seven.relu()), max_pool2d(maps, 3, 2)], 1)


class _BlockE(nn.Module):
    """The last of the two takes the maximum of neighbours where the first averages them: a slip of the original."""

    def __init__(self, block: Any, *, max_pool: bool) -> None:
        super().__init__()
        openings = (block.branch1x1, block.branch3x3_1, block.branch3x3dbl_1)
        self.pool = _Conv(block.branch_pool) if max_pool else None
        self.first = _Conv(*openings, *(() if max_pool else (block.branch_pool,)), relu=False)
        self.three = nn.ModuleList([_Conv(block.branch3x3_2a), _Conv(block.branch3x3_2b)])
        self.deep = _Conv(block.branch3x3dbl_2)
        self.deep_ends = nn.ModuleList([_Conv(block.branch3x3dbl_3a), _Conv(block.branch3x3dbl_3b)])

    def forward(self, maps: Tensor) -> Tensor:
        one, three, deep, *pool = self.first.branches(maps)
        three, deep = three.relu(), self.deep(deep.relu())
        pooled = _average(*pool).relu_() if self.pool is None else self.pool(max_pool2d(maps, 3, 1, 1))
        ends = [*(end(three) for end in self.three), *(end(deep) for end in self.deep_ends)]
        return torch.cat([one.relu(), *ends, pooled], 1)


def _chain(*layers: Any) -> nn.Sequential:
    return nn.Sequential(*(_Conv(layer) for layer in layers))


def _average(maps: Tensor) -> Tensor:
    """Average 3 x 3 neighbours; what lies outside does not count, as in TensorFlow."""
    return avg_pool2d(maps, 3, 1, 1, count_include_pad=False)
