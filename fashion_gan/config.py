"""The settings of a run: each with its default, its help and its check."""

import dataclasses
from dataclasses import dataclass
from typing import Any

__all__ = ["Config"]

PRECISIONS = ("float32", "mixed_float16", "mixed_bfloat16", "float64")


def _setting(default: Any, help: str, minimum: float | None = None, choices: Any = None) -> Any:
    metadata = {"help": help, "minimum": minimum, "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True)
class Config:
    """What a run trains and how; the defaults are the book's dense GAN.

    Raises:
        ValueError: if a setting is outside what its field allows.
    """

    data: str = _setting(
        "", "images of your own: a folder, .npz, .npy or IDX file, in place of Fashion-MNIST"
    )
    skip_broken: bool = _setting(False, "leave out files of that folder that cannot be read")
    networks: str = _setting("dense", "pair of networks, a name of fashion_gan.models.MODELS")
    latent_dim: int = _setting(30, "size of a latent vector", 1)
    width: int = _setting(0, "of the pairs dcgan, plain and resnet, 0 for their default", 0)
    dropout: float = _setting(0.4, "in the discriminator of the pair dcgan", 0)
    conditional: bool = _setting(False, "both networks are told the class of each image")
    loss: str = _setting("binary_crossentropy", "a name of fashion_gan.losses.LOSSES")
    r1: float = _setting(0.0, "weight of the R1 penalty, 0 for none", 0)
    r2: float = _setting(0.0, "of the R2 penalty", 0)
    wgan_gp: float = _setting(0.0, "of the WGAN-GP penalty", 0)
    dragan: float = _setting(0.0, "of the DRAGAN penalty", 0)
    penalty_interval: int = _setting(1, "steps from one penalty to the next, which weighs more", 1)
    replay: int = _setting(0, "past fakes that the discriminator meets again, 0 for none", 0)
    label_flips: float = _setting(0.0, "share of pairs whose labels are exchanged", 0)
    instance_noise: float = _setting(0.0, "deviation of noise on what the discriminator sees", 0)
    noise_epochs: int = _setting(0, "epochs in which that noise fades, 0 to keep it", 0)
    translation: float = _setting(0.0, "shift of what it sees, as a share of the image", 0)
    cutout: float = _setting(0.0, "side of a square that is hidden from it, likewise", 0)
    brightness: float = _setting(0.0, "largest change of the brightness of what it sees", 0)
    contrast: float = _setting(0.0, "of its contrast, as a share", 0)
    ema_decay: float = _setting(0.0, "of the averaged generator a step, 0 for no average", 0)
    d_steps: int = _setting(1, "updates of the discriminator for one of the generator", 1)
    g_optimizer: str = _setting("rmsprop", "the generator's, any of Keras' names")
    d_optimizer: str = _setting("rmsprop", "the discriminator's, likewise")
    g_learning_rate: float = _setting(0.001, "the generator's learning rate", 0)
    d_learning_rate: float = _setting(0.001, "the discriminator's", 0)
    beta_1: float = _setting(0.9, "of Adam and its kin, for both networks", 0)
    beta_2: float = _setting(0.999, "likewise", 0)
    weight_decay: float = _setting(
        0.0,
        "share of each weight that is lost in a step, times the learning rate; both networks",
        0,
    )
    decay_epochs: int = _setting(
        0, "epochs in which both learning rates fall along a cosine, 0 for constant rates", 0
    )
    decay_to: float = _setting(0.0, "share of the learning rates that is left then", 0)
    epochs: int = _setting(50, "passes over the training images", 1)
    batch_size: int = _setting(
        32, "real images in an update of the discriminator, and fakes in each update", 1
    )
    seed: int = _setting(42, "of weights, latents and the order of the images", 0)
    precision: str = _setting("float32", "Keras' dtype policy", choices=PRECISIONS)
    jit_compile: str = _setting(
        "auto", "XLA; auto chooses by device and networks", choices=("auto", "on", "off")
    )
    steps_per_execution: int = _setting(100, "train steps in one call of the compiled graph", 1)
    log_gradients: bool = _setting(False, "log norms of gradients and updates")
    image_every: int = _setting(1, "epochs between two image grids", 1)
    alarm: str = _setting(
        "warn",
        "what ModeCollapseMonitor does about a finding",
        choices=("off", "warn", "stop", "restore"),
    )
    evaluate_every: int = _setting(1, "epochs between two quick evaluations, 0 for none", 0)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, kind = getattr(self, field.name), type(field.default)
            if kind is float and type(value) is int:
                object.__setattr__(self, field.name, float(value))
            elif type(value) is not kind:
                raise ValueError(f"Expected {kind.__name__}. Received: {field.name}={value!r}.")
            minimum, choices = field.metadata["minimum"], field.metadata["choices"]
            if minimum is not None and not minimum <= value < float("inf"):
                raise ValueError(f"Expected at least {minimum}. Received: {field.name}={value!r}.")
            if choices is not None and value not in choices:
                raise ValueError(f"Expected one of {choices}. Received: {field.name}={value!r}.")

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> "Config":
        """The config with these settings.

        Raises:
            ValueError: for a name that is no setting.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        for name in settings:
            if name not in names:
                raise ValueError(f"Expected settings among {names}. Received: {name!r}.")
        return cls(**settings)
