"""Presets: names for configs that were tried."""

from fashion_gan.config import Config

__all__ = ["PRESETS"]

PRESETS: dict[str, Config] = {
    "dense": Config(),
    "dcgan": Config(networks="dcgan", latent_dim=100),
}
