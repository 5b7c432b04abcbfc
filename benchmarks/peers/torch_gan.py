"""Implements the same GANs in PyTorch, eager or with each phase compiled by torch.compile."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F


def dense():
    generator = nn.Sequential(
        nn.Linear(30, 100), nn.SELU(), nn.Linear(100, 150), nn.SELU(), nn.Linear(150, 784),
        nn.Sigmoid(), nn.Unflatten(1, (1, 28, 28)),
    )  # fmt: skip
    discriminator = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 150), nn.SELU(), nn.Linear(150, 100), nn.SELU(),
        nn.Linear(100, 1),
    )  # fmt: skip
    return generator, discriminator


class Crop(nn.Module):
    """Crops a transposed convolution with kernel 5 to TensorFlow's padding "same"."""

    def forward(self, x):
        return x[..., 1:-2, 1:-2]


def dcgan(dropout):
    norm = {"eps": 1e-3, "momentum": 0.01}  # Keras' defaults, in torch's convention of momentum
    generator = nn.Sequential(
        nn.Linear(100, 7 * 7 * 128), nn.Unflatten(1, (128, 7, 7)), nn.BatchNorm2d(128, **norm),
        nn.ConvTranspose2d(128, 64, 5, 2), Crop(), nn.SELU(), nn.BatchNorm2d(64, **norm),
        nn.ConvTranspose2d(64, 1, 5, 2), Crop(), nn.Tanh(),
    )  # fmt: skip
    same = (1, 2, 1, 2)  # TensorFlow's padding "same" for stride 2 and kernel 5
    discriminator = nn.Sequential(
        nn.ZeroPad2d(same), nn.Conv2d(1, 64, 5, 2), nn.LeakyReLU(0.2), nn.Dropout(dropout),
        nn.ZeroPad2d(same), nn.Conv2d(64, 128, 5, 2), nn.LeakyReLU(0.2), nn.Dropout(dropout),
        nn.Flatten(), nn.Linear(7 * 7 * 128, 1),
    )  # fmt: skip
    return generator, discriminator


def _initialize(network):
    """Initializes weights as Keras does by default: Glorot uniform, and zero biases."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)


def _load(network, values):
    """Loads weights from Keras, whose axes and flattened images have another order."""
    values = [torch.from_numpy(np.array(value)) for value in values]
    for module in network.modules():
        if isinstance(module, nn.Linear):
            kernel, bias = values.pop(0), values.pop(0)
            if kernel.shape[1] == 6272:
                kernel = kernel.reshape(-1, 7, 7, 128).permute(0, 3, 1, 2).reshape(-1, 6272)
                bias = bias.reshape(7, 7, 128).permute(2, 0, 1).reshape(-1)
            if kernel.shape[0] == 6272:
                kernel = kernel.reshape(7, 7, 128, -1).permute(2, 0, 1, 3).reshape(6272, -1)
            kernel = kernel.T
        elif isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            kernel, bias = values.pop(0).permute(3, 2, 0, 1), values.pop(0)
        elif isinstance(module, nn.BatchNorm2d):
            kernel, bias = values.pop(0), values.pop(0)
        else:
            continue
        module.weight.data.copy_(kernel)
        module.bias.data.copy_(bias)


class RMSprop(torch.optim.Optimizer):
    """Implements RMSprop in torch's fastest form, with epsilon inside the root as in Keras."""

    def __init__(self, parameters, lr=0.001, rho=0.9, eps=1e-7):
        super().__init__(parameters, {"lr": lr, "rho": rho, "eps": eps})
        self.squares = [torch.zeros_like(p) for p in self.param_groups[0]["params"]]

    @torch.no_grad()
    def step(self):
        group = self.param_groups[0]
        gradients = [p.grad for p in group["params"]]
        torch._foreach_mul_(self.squares, group["rho"])
        torch._foreach_addcmul_(self.squares, gradients, gradients, 1 - group["rho"])
        roots = torch._foreach_sqrt(torch._foreach_add(self.squares, group["eps"]))
        torch._foreach_addcdiv_(group["params"], gradients, roots, -group["lr"])


class Trainer:
    def __init__(self, pair, weights=None, dropout=True, compiled=False):
        if torch.cuda.is_available():
            torch.set_default_device("cuda")
            torch.set_float32_matmul_precision("high")  # TF32, as TensorFlow and JAX use by default
        self.low, self.batch_size, self.latent_dim = (
            (-1, 64, 100) if pair == "dcgan" else (0, 32, 30)
        )
        self.generator, self.discriminator = (
            dense() if pair == "dense" else dcgan(0.4 if dropout else 0.0)
        )
        for network, values in zip(
            (self.generator, self.discriminator), weights or (None, None), strict=True
        ):
            _initialize(network) if values is None else _load(network, values)
        self.g_optimizer = RMSprop(self.generator.parameters())
        self.d_optimizer = RMSprop(self.discriminator.parameters())
        wrap = torch.compile if compiled else lambda function: function
        self.d_loss, self.g_loss = wrap(self._d_loss), wrap(self._g_loss)

    def _d_loss(self, real, latents):
        with torch.no_grad():
            fake = self.generator(latents)
        logits = self.discriminator(torch.cat([fake, real]))
        targets = torch.cat([torch.zeros(len(real), 1), torch.ones(len(real), 1)])
        return F.binary_cross_entropy_with_logits(logits, targets)

    def _g_loss(self, latents):
        logits = self.discriminator(self.generator(latents))
        return F.binary_cross_entropy_with_logits(logits, torch.ones(len(latents), 1))

    def step(self, real, d_latents, g_latents):
        d_loss = self.d_loss(real, d_latents)
        self.d_optimizer.zero_grad()
        d_loss.backward()
        self.d_optimizer.step()

        self.discriminator.requires_grad_(False)
        g_loss = self.g_loss(g_latents)
        self.g_optimizer.zero_grad()
        g_loss.backward()
        self.g_optimizer.step()
        self.discriminator.requires_grad_(True)
        return d_loss.detach(), g_loss.detach()

    def prepare(self, pixels):
        self.pixels = torch.tensor(np.array(pixels)).reshape(-1, 1, 28, 28)
        self.order = torch.empty(0, dtype=torch.long)

    def train(self, steps):
        losses = torch.zeros(2)
        for _ in range(steps):
            if len(self.order) < self.batch_size:
                self.order = torch.randperm(len(self.pixels))
            picked, self.order = self.order[: self.batch_size], self.order[self.batch_size :]
            real = self.low + (1 - self.low) * (self.pixels[picked].float() / 255)
            d_latents, g_latents = torch.randn(2, self.batch_size, self.latent_dim)
            losses += torch.stack(self.step(real, d_latents, g_latents))
        losses.tolist()

    def given(self, images, latents):
        images = torch.tensor(images).permute(0, 1, 4, 2, 3)
        pairs = torch.tensor(latents).unflatten(0, (-1, 2))
        steps = zip(images, pairs, strict=True)
        return [tuple(map(float, self.step(real, *pair))) for real, pair in steps]
