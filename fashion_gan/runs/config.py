"""Defines the settings of a run, each with its default, help text and bounds."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fashion_gan.registry import did_you_mean

if TYPE_CHECKING:
    from fashion_gan.data.decoding import ImageOptions

__all__ = ["Config", "check_setting"]

DTYPE_POLICIES = ("float32", "mixed_float16", "mixed_bfloat16", "float64")


def _setting(
    default: Any,
    help: str,
    minimum: float | None = None,
    maximum: float = math.inf,
    *,
    below: float = math.inf,
    choices: Sequence[str | bool] | None = None,
    needs: Mapping[str, Sequence[str]] | None = None,
) -> Any:
    """Returns a field of `Config`.

    Args:
        default: Default value. Its type is the type of the setting.
        help: Help text. One phrase that makes sense alone.
        minimum: Smallest number. Defaults to None, for settings that are not numbers.
        maximum: Largest number. Defaults to infinity.
        below: Exclusive upper bound of numbers. Defaults to infinity.
        choices: Allowed values. Defaults to None, for any value.
        needs: Names of other settings to the values that give this setting an effect, where an
            empty sequence means any true value. If no other setting has such a value, this setting
            has no effect. Defaults to None, for a setting that always has an effect.
    """
    metadata = {
        "help": help,
        "minimum": minimum,
        "maximum": maximum,
        "below": below,
        "choices": choices,
        "needs": needs or {},
    }
    return dataclasses.field(default=default, metadata=metadata)


def check_setting(field: "dataclasses.Field[Any]", value: Any) -> None:
    """Raises a ValueError that names the setting if the field does not allow `value`."""
    kind, name, limits = type(field.default), field.name, field.metadata
    low, high, below, choices = (limits[key] for key in ("minimum", "maximum", "below", "choices"))
    if choices is not None:
        if not any(type(value) is type(choice) and value == choice for choice in choices):
            hint = did_you_mean(value, (choice for choice in choices if isinstance(choice, str)))
            raise ValueError(f"Expected one of {choices}. Received: {name}={value!r}.{hint}")
        return
    if type(value) is not kind and not (kind is float and type(value) is int):
        raise ValueError(f"Expected {kind.__name__}. Received: {name}={value!r}.")
    if low is not None and not (low <= value <= high and value < below):
        bounds = f"{low} to {high}" if high < math.inf else f"at least {low}"
        bounds += f" and below {below}" if below < math.inf else ""
        raise ValueError(f"Expected {bounds}. Received: {name}={value!r}.")


_PENALTIES: dict[str, Sequence[str]] = {"r1": (), "r2": (), "wgan_gp": (), "dragan": ()}
_AUGMENTATIONS: dict[str, Sequence[str]] = {
    name: ()
    for name in (
        "instance_noise",
        "augment_mirror",
        "scale",
        "rotation",
        "translation",
        "cutout",
        "brightness",
        "contrast",
        "saturation",
        "hue",
    )
}
_ADAM = ("adam", "adamax", "adamw", "lamb", "lion", "nadam", "schedulefreeadamw")
_HAS_BETAS = {"g_optimizer": _ADAM, "d_optimizer": _ADAM}


@dataclass(frozen=True)
class Config:
    """Settings of a run; the defaults are those of the book's dense GAN.

    Raises:
        ValueError: If the field of a setting does not allow its value.
    """

    data: str = _setting(
        "",
        "images of your own: a folder, .zip, .parquet, .npz, .npy or IDX file, in place of "
        "Fashion-MNIST",
    )
    image_size: str = _setting(
        "",
        "size that all images get, 64 or WIDTHxHEIGHT; their own if all have one",
        needs={"data": ()},
    )
    resize: str = _setting(
        "crop",
        "how an image of another shape gets --image-size",
        choices=("crop", "pad", "stretch"),
        needs={"image_size": ()},
    )
    resample: str = _setting(
        "lanczos",
        "filter that resizes; nearest for pixel art",
        choices=("lanczos", "nearest"),
        needs={"image_size": ()},
    )
    channels: str = _setting(
        "auto",
        "1 for gray, 3 for RGB, 4 for RGB with transparency; auto is 1 or 3",
        choices=("auto", "1", "3", "4"),
        needs={"data": ()},
    )
    background: str = _setting(
        "white",
        "color below transparent pixels and around padded images, a name or #rrggbb",
        needs={"data": ()},
    )
    held_out: str = _setting(
        "auto",
        "images to compare with, not trained on: a number, or a fraction below 1; 0 trains on all",
        needs={"data": ()},
    )
    skip_corrupt: bool = _setting(
        False, "leave out files in the folder of --data that cannot be read", needs={"data": ()}
    )
    mirror: bool = _setting(False, "train on each image and on its mirror image")
    model: str = _setting("dense", "pair of networks: dense, dcgan, convnet, resnet or infogan")
    latent_dim: int = _setting(30, "size of a latent vector", 1)
    width: int = _setting(
        0, "channels of the models dcgan, convnet and resnet, 0 for their own number", 0
    )
    dropout: float = _setting(
        0.4,
        "share of outputs dropped in the discriminator of the model dcgan",
        0,
        below=1,
        needs={"model": ("dcgan",)},
    )
    conditional: bool = _setting(False, "both networks are told the class of each image")
    projected: bool = _setting(
        False,
        "replace the discriminator by small networks that see features of ImageNet; needs the "
        "extra features",
    )
    loss: str = _setting(
        "binary_crossentropy",
        "adversarial loss: binary_crossentropy, minimax, least_squares, hinge, wasserstein or "
        "relativistic",
    )
    r1: float = _setting(0.0, "weight of the R1 penalty, 0 for none", 0)
    r2: float = _setting(0.0, "weight of the R2 penalty, 0 for none", 0)
    wgan_gp: float = _setting(0.0, "weight of the WGAN-GP penalty, 0 for none", 0)
    dragan: float = _setting(0.0, "weight of the DRAGAN penalty, 0 for none", 0)
    penalty_interval: int = _setting(
        1,
        "steps from one gradient penalty to the next, which weighs so much more",
        1,
        needs=_PENALTIES,
    )
    lecam: float = _setting(0.0, "weight of the LeCam regularization, 0 for none", 0)
    replay_size: int = _setting(
        0,
        "past fakes that the discriminator meets again: 0 for none, else at least a batch",
        0,
    )
    label_flip_rate: float = _setting(
        0.0, "share of pairs whose labels are exchanged", 0, below=0.5
    )
    instance_noise: float = _setting(
        0.0, "standard deviation of noise on all images that the discriminator sees", 0
    )
    noise_epochs: int = _setting(
        0,
        "epochs in which --instance-noise fades to nothing, 0 to keep it",
        0,
        needs={"instance_noise": ()},
    )
    augment_mirror: bool = _setting(False, "flip half of what the discriminator sees")
    scale: float = _setting(
        0.0, "largest change of the size of what the discriminator sees, in doublings", 0, 1
    )
    rotation: float = _setting(
        0.0, "largest angle of what the discriminator sees, as a share of half a turn", 0, 1
    )
    translation: float = _setting(
        0.0, "largest shift of what the discriminator sees, as a share of the image", 0, 1
    )
    cutout: float = _setting(
        0.0, "side of a square hidden from the discriminator, as a share of the image", 0, 1
    )
    brightness: float = _setting(
        0.0, "largest change of the brightness of what the discriminator sees", 0, 1
    )
    contrast: float = _setting(
        0.0, "largest change of the contrast of what the discriminator sees, as a share", 0, 1
    )
    saturation: float = _setting(
        0.0, "largest change of the saturation of what the discriminator sees, as a share", 0, 1
    )
    hue: float = _setting(
        0.0,
        "largest turn of the colors that the discriminator sees, as a share of half a turn",
        0,
        1,
    )
    augment_p: float = _setting(
        1.0,
        "probability of each of these changes; with --adaptive-augmentation the largest",
        0,
        1,
        needs=_AUGMENTATIONS,
    )
    adaptive_augmentation: bool = _setting(
        False,
        "let that probability begin at 0, and rise while the discriminator overfits",
        needs=_AUGMENTATIONS,
    )
    overfit_target: float = _setting(
        0.6,
        "overfitting, by held-out images, above which the probability rises",
        0.01,
        0.99,
        needs={"adaptive_augmentation": ()},
    )
    augment_ramp: int = _setting(
        100_000,
        "real images in which the probability can rise from 0 to 1",
        1,
        needs={"adaptive_augmentation": ()},
    )
    ema_decay: float = _setting(
        0.0, "share of the averaged generator that a step keeps, 0 for no average", 0, below=1
    )
    d_steps: int = _setting(1, "updates of the discriminator for one of the generator", 1)
    g_optimizer: str = _setting("rmsprop", "the generator's optimizer, any of Keras' names")
    d_optimizer: str = _setting("rmsprop", "the discriminator's optimizer, any of Keras' names")
    g_learning_rate: float = _setting(0.001, "the generator's learning rate", 0)
    d_learning_rate: float = _setting(0.001, "the discriminator's learning rate", 0)
    beta_1: float = _setting(
        0.9,
        "decay of the mean gradient in Adam and its kin, for both networks",
        0,
        below=1,
        needs=_HAS_BETAS,
    )
    beta_2: float = _setting(
        0.999,
        "decay of the mean squared gradient in Adam and its kin, for both networks",
        0,
        below=1,
        needs=_HAS_BETAS,
    )
    weight_decay: float = _setting(
        0.0,
        "share of each weight that is lost in a step, times the learning rate; both networks",
        0,
    )
    lr_decay_epochs: int = _setting(
        0, "epochs in which both learning rates fall along a cosine, 0 for constant rates", 0
    )
    lr_decay_start: int = _setting(
        0,
        "epochs at the full learning rates before --lr-decay-epochs begin",
        0,
        needs={"lr_decay_epochs": ()},
    )
    lr_final_scale: float = _setting(
        0.0,
        "share of both learning rates that is left after --lr-decay-epochs",
        0,
        1,
        needs={"lr_decay_epochs": ()},
    )
    epochs: int = _setting(
        50, "epochs in all: passes over the training images, or --steps-per-epoch steps each", 1
    )
    steps_per_epoch: int = _setting(
        0, "train steps in an epoch, 0 for one pass over the training images", 0
    )
    batch_size: int = _setting(
        32, "real images in an update of the discriminator, and fakes in each update", 1
    )
    accumulate: int = _setting(
        1, "equal parts of a batch, whose gradients are averaged to save memory", 1
    )
    init_from: str = _setting(
        "", "weights to begin with: folder of a run, .keras file, or a pretrained name"
    )
    seed: int = _setting(42, "seed of weights, latents and the order of the images", 0, 2**32 - 1)
    dtype_policy: str = _setting("float32", "Keras' dtype policy", choices=DTYPE_POLICIES)
    jit_compile: bool | str = _setting(
        "auto",
        "whether XLA compiles; auto chooses by device and networks",
        choices=("auto", True, False),
    )
    steps_per_execution: int = _setting(100, "train steps in one call of the compiled graph", 1)
    log_gradients: bool = _setting(False, "log norms of gradients and updates")
    image_freq: int = _setting(1, "epochs between two image grids", 1)
    on_collapse: str = _setting(
        "warn",
        "what to do when the monitor for mode collapse finds something",
        choices=("off", "warn", "stop", "restore"),
    )
    eval_freq: int = _setting(1, "epochs between two quick evaluations, 0 for none", 0)

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            check_setting(field, value)
            if type(field.default) is float:
                object.__setattr__(self, field.name, float(value))
        if self.data:
            from fashion_gan.data.split import parse_held_out

            self.image_options()
            parse_held_out(self.held_out)
        if 0 < self.replay_size < self.batch_size:
            raise ValueError(
                f"Expected replay_size=0, or at least batch_size={self.batch_size}. "
                f"Received: replay_size={self.replay_size}."
            )

    def image_options(self) -> "ImageOptions":
        """Returns the options that convert the run's own images."""
        from fashion_gan.data.decoding import ImageOptions

        names = [field.name for field in dataclasses.fields(ImageOptions)]
        return ImageOptions(**{name: getattr(self, name) for name in names})

    def with_steps(self, steps: int, steps_per_epoch: int = 0) -> "Config":
        """Returns this config with a length in train steps, rounded up to whole epochs.

        Args:
            steps: Total number of train steps.
            steps_per_epoch: Number of train steps in an epoch. Defaults to 0, which divides `steps`
                by `epochs`, so that settings in epochs keep their fraction of the training.

        Raises:
            ValueError: If `steps` or `steps_per_epoch` is out of bounds.
        """
        if steps < 1 or steps_per_epoch < 0:
            raise ValueError(
                "Expected steps of at least 1, and steps_per_epoch of at least 0. Received: "
                f"steps={steps}, steps_per_epoch={steps_per_epoch}."
            )
        length = steps_per_epoch or math.ceil(steps / self.epochs)
        return dataclasses.replace(self, epochs=math.ceil(steps / length), steps_per_epoch=length)

    def idle(self, names: Iterable[str]) -> dict[str, str]:
        """Returns the settings that have no effect in this config, with the settings they need."""
        fields = {field.name: field for field in dataclasses.fields(self)}
        found = {}
        for name in names:
            needs: Mapping[str, Sequence[str]] = fields[name].metadata["needs"]
            on = [
                str(getattr(self, other)).lower() in values
                if values
                else bool(getattr(self, other))
                for other, values in needs.items()
            ]
            if needs and not any(on):
                kinds = {f" as {' or '.join(values)}" for values in needs.values() if values}
                found[name] = " or ".join(needs) + "".join(kinds)
        return found

    @classmethod
    def from_dict(cls, settings: dict[str, Any]) -> "Config":
        """Returns a config with the given settings.

        Raises:
            ValueError: If a name is not a setting.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        for name in settings:
            if name not in names:
                raise ValueError(
                    f"Expected settings among {names}. Received: {name!r}. Convert runs from "
                    "before 0.1.0 with tools/migrate_run.py."
                )
        return cls(**settings)
