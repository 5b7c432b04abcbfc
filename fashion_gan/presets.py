"""Presets: names for configs that were tried."""

from dataclasses import replace

from fashion_gan.config import Config

__all__ = ["PRESETS"]

_BOOK = Config()
_MODERN = Config(
    loss="relativistic",
    ema_decay=0.9995,
    g_optimizer="adam",
    d_optimizer="adam",
    g_learning_rate=1e-3,
    d_learning_rate=1e-3,
    beta_1=0.0,
    beta_2=0.99,
    batch_size=64,
)

PRESETS: dict[str, Config] = {
    "dense": _BOOK,
    "dense_modern": replace(_MODERN, r1=2.0, r2=2.0, epochs=40),
    "dcgan": replace(_BOOK, networks="dcgan", latent_dim=100),
}
