"""The usual tutorial loops, on the same networks built from torch's own layers: what bench's step is compared with.

Contiguous fp32, a DataLoader over images in memory with the usual transform, Adam as it comes, losses read as each
tutorial prints them, D's gradients computed in the generator step too (but for R1's). One discriminator step a
generator step everywhere, as under bench's controlled recipe.

    nsgan    pytorch.org's DCGAN tutorial: three backward passes, one batch of fakes for both players
    wgan-gp  the loop of PyTorch-GAN: one backward pass for D with its penalty, new fakes for G
    began    the loop of PyTorch-GAN: G first, then D on the same fakes; k moves on the host
    r1       the loop of GAN stability (Mescheder et al. 2018): D on reals, its penalty and fakes apart, new fakes for
             G, whose step spares D's gradients
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from bench.runs.plan import TrainingSpec

Batches = Callable[[], Tensor]


class ImagesInMemory(Dataset[Tensor]):
    """Images as torchvision's sets in memory hold them, and its usual transform to [-1, 1]."""

    def __init__(self, images: Tensor) -> None:
        self._images = images.permute(0, 2, 3, 1).contiguous().numpy()
        self._transform = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)])

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Tensor:
        image: Tensor = self._transform(Image.fromarray(self._images[index]))
        return image


def loaded(images: Tensor, batch: int, workers: int, device: torch.device) -> Batches:
    """Return what gives the next batch from a DataLoader, epoch after epoch."""
    loader = DataLoader(
        ImagesInMemory(images),
        batch,
        shuffle=True,
        num_workers=workers,
        drop_last=True,
        pin_memory=device.type == "cuda",
        persistent_workers=workers > 0,
    )

    def endless() -> Iterator[Tensor]:
        while True:
            for loaded_images in loader:
                yield loaded_images.to(device)

    return endless().__next__


def in_place(images: Tensor, batch: int, device: torch.device) -> Batches:
    """Return what gives the same batch each time, where it is needed: the loop without its data path."""
    pixels = (images[:batch].float() / 127.5 - 1).to(device)
    return lambda: pixels


def networks(spec: TrainingSpec) -> tuple[nn.Module, nn.Module]:
    """Return G and D of a spec from torch's own layers: batch or layer norm in D, a score or autoencoding head."""
    width, latent = spec.backbone.width, spec.backbone.latent
    widths = [width * 2**index for index in range(spec.data.resolution.bit_length() - 3)]
    autoencoding = spec.objective.name == "began"
    norm = {"batch": nn.BatchNorm2d, "layer": _layer_norm}[spec.recipe.norm]
    D = nn.Sequential()
    channels = 3
    for index, following in enumerate(widths):
        D.append(nn.Conv2d(channels, following, 4, 2, 1, bias=False))
        if index > 0:
            D.append(norm(following))
        D.append(nn.LeakyReLU(0.2, True))
        channels = following
    D.append(nn.Conv2d(channels, latent if autoencoding else 1, 4, 1, 0, bias=False))
    D.extend(_decoder(widths, latent, norm)) if autoencoding else D.append(nn.Flatten(0))
    G = nn.Sequential(nn.Unflatten(1, (latent, 1, 1)), *_decoder(widths, latent, nn.BatchNorm2d))
    return G, D


def _layer_norm(channels: int) -> nn.Module:
    return nn.GroupNorm(1, channels)


def _decoder(widths: list[int], latent: int, norm: Callable[[int], nn.Module]) -> list[nn.Module]:
    layers: list[nn.Module] = []
    channels, stride, padding = latent, 1, 0
    for following in reversed(widths):
        layers += [nn.ConvTranspose2d(channels, following, 4, stride, padding, bias=False), norm(following)]
        layers.append(nn.ReLU(True))
        channels, stride, padding = following, 2, 1
    return [*layers, nn.ConvTranspose2d(channels, 3, 4, 2, 1, bias=False), nn.Tanh()]


class Loop:
    """What every loop has: networks, optimisers, batches and latents."""

    def __init__(self, spec: TrainingSpec, batches: Batches, device: torch.device) -> None:
        self.G, self.D = (network.to(device) for network in networks(spec))
        self.optimizer_G, self.optimizer_D = (
            torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999)) for network in (self.G, self.D)
        )
        self.next_batch = batches
        self.device = device
        self._latent_shape = spec.budget.batch, spec.backbone.latent
        self.k = 0.0
        self._step = {"nsgan": Loop._nsgan, "wgan-gp": Loop._wgan_gp, "began": Loop._began, "r1": Loop._r1}[
            spec.objective.name
        ]

    def step(self) -> None:
        """Take an iteration: a discriminator step and a generator step."""
        self._step(self)

    def _fakes(self) -> Tensor:
        fakes: Tensor = self.G(torch.randn(self._latent_shape, device=self.device))
        return fakes

    def _nsgan(self) -> None:
        real = self.next_batch()
        self.D.zero_grad()
        scores = self.D(real)
        loss_real = _cross_entropy(scores, 1.0)
        loss_real.backward()
        fake = self._fakes()
        loss_fake = _cross_entropy(self.D(fake.detach()), 0.0)
        loss_fake.backward()
        self.optimizer_D.step()
        self.G.zero_grad()
        loss = _cross_entropy(self.D(fake), 1.0)
        loss.backward()
        self.optimizer_G.step()
        _read(scores.mean(), loss_real + loss_fake, loss)

    def _wgan_gp(self) -> None:
        real = self.next_batch()
        self.optimizer_D.zero_grad()
        fake = self._fakes().detach()
        weight = torch.rand(len(real), 1, 1, 1, device=self.device)
        points = (weight * real + (1 - weight) * fake).requires_grad_()
        slope = _input_gradient(self.D(points), points).flatten(1).norm(2, dim=1)
        loss_D = -self.D(real).mean() + self.D(fake).mean() + 10 * ((slope - 1) ** 2).mean()
        loss_D.backward()
        self.optimizer_D.step()
        self.optimizer_G.zero_grad()
        loss_G = -self.D(self._fakes()).mean()
        loss_G.backward()
        self.optimizer_G.step()
        _read(loss_D, loss_G)

    def _began(self) -> None:
        real = self.next_batch()
        self.optimizer_G.zero_grad()
        fake = self._fakes()
        loss_G = (self.D(fake) - fake).abs().mean()
        loss_G.backward()
        self.optimizer_G.step()
        self.optimizer_D.zero_grad()
        fake = fake.detach()
        error_real, error_fake = (self.D(real) - real).abs().mean(), (self.D(fake) - fake).abs().mean()
        (error_real - self.k * error_fake).backward()
        self.optimizer_D.step()
        self.k = min(max(self.k + 0.001 * (0.5 * error_real - error_fake).item(), 0.0), 1.0)
        _read(loss_G)

    def _r1(self) -> None:
        real = self.next_batch().requires_grad_()
        self.optimizer_D.zero_grad()
        scores = self.D(real)
        loss_real = _cross_entropy(scores, 1.0)
        loss_real.backward(retain_graph=True)
        (10.0 / 2 * _input_gradient(scores, real).pow(2).flatten(1).sum(1).mean()).backward()
        with torch.no_grad():
            fake = self._fakes()
        loss_fake = _cross_entropy(self.D(fake), 0.0)
        loss_fake.backward()
        self.optimizer_D.step()
        self.D.requires_grad_(False)
        self.optimizer_G.zero_grad()
        loss_G = _cross_entropy(self.D(self._fakes()), 1.0)
        loss_G.backward()
        self.optimizer_G.step()
        self.D.requires_grad_(True)
        _read(loss_real + loss_fake, loss_G)


def _cross_entropy(scores: Tensor, target: float) -> Tensor:
    return binary_cross_entropy_with_logits(scores, torch.full_like(scores, target))


def _input_gradient(scores: Tensor, points: Tensor) -> Tensor:
    (gradient,) = torch.autograd.grad(scores.sum(), points, create_graph=True)
    return gradient


def _read(*losses: Any) -> None:
    """Read values as a tutorial does to print them."""
    for loss in losses:
        loss.item()
