"""Defines the settings of a run, each with its default, help text and bounds."""

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fashion_gan.registry import did_you_mean

if TYPE_CHECKING:
    from fashion_gan.data.decoding import ImageOptions

__all__ = ["STRENGTHS", "Config", "check_setting"]

STRENGTHS = (
    "scale",
    "rotation",
    "translation",
    "cutout",
    "brightness",
    "contrast",
    "saturation",
    "hue",
)
"""Names of the augmentations whose setting is their strength."""

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
    metavar: str = "N",
) -> Any:
    """Returns a field of `Config`.

    Args:
        default: Default value. Its type is the type of the setting.
        help: Help text. A phrase that is clear without context.
        minimum: Smallest number. Defaults to None, for settings that are not numbers.
        maximum: Largest number. Defaults to infinity.
        below: Exclusive upper bound of numbers. Defaults to infinity.
        choices: Allowed values. Defaults to None, for any value.
        needs: Names of other settings to the values that give this setting an effect, where an
            empty sequence means any true value. If no other setting has such a value, this setting
            has no effect. Defaults to None, for a setting that always has an effect.
        metavar: Name of the value in help texts. Defaults to `N`.
    """
    metadata = {
        "help": help,
        "minimum": minimum,
        "maximum": maximum,
        "below": below,
        "choices": choices,
        "needs": needs or {},
        "metavar": metavar,
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
    name: () for name in ("instance_noise", "augment_mirror", *STRENGTHS)
}
_ADAM = ("adam", "adamax", "adamw", "lamb", "lion", "nadam", "schedulefreeadamw")
_HAS_BETAS = {"g_optimizer": _ADAM, "d_optimizer": _ADAM}


@dataclass(frozen=True)
class Config:
    """Holds the settings of a run. The defaults train the book's dense GAN.

    Raises:
        ValueError: If the field of a setting does not allow its value.
    """

    data: str = _setting(
        "",
        "your own images in place of Fashion-MNIST: a folder, or a .zip, .parquet, .npz, .npy or "
        "IDX file",
        metavar="IMAGES",
    )
    image_size: str = _setting(
        "",
        "resize all images to this size, 64 or WIDTHxHEIGHT; can be omitted if all have one size",
        needs={"data": ()},
        metavar="SIZE",
    )
    resize: str = _setting(
        "crop",
        "how to resize images of another aspect ratio: crop the edges, pad with --background, or "
        "stretch",
        choices=("crop", "pad", "stretch"),
        needs={"image_size": ()},
    )
    resample: str = _setting(
        "lanczos",
        "filter for resizing; nearest keeps the colors of pixel art",
        choices=("lanczos", "nearest"),
        needs={"image_size": ()},
    )
    channels: str = _setting(
        "auto",
        "1 for gray, 3 for RGB, 4 for RGB with transparency; auto is 1 if all images are gray, "
        "else 3",
        choices=("auto", "1", "3", "4"),
        needs={"data": ()},
    )
    background: str = _setting(
        "white",
        "color behind transparent pixels and around padded images, a name or #rrggbb",
        needs={"data": ()},
        metavar="COLOR",
    )
    held_out: str = _setting(
        "auto",
        "images that are not trained on, but that scores compare with: a number, a fraction below "
        "1, or auto for a tenth, but at least 100, at most 5,000, and none of fewer than 200; 0 "
        "trains on all",
        needs={"data": ()},
        metavar="N",
    )
    skip_corrupt: bool = _setting(
        False, "skip files that cannot be read, in place of an error", needs={"data": ()}
    )
    mirror: bool = _setting(
        False, "add the mirror image of each training image; not where left and right differ"
    )
    model: str = _setting(
        "dense",
        "pair of networks: dense, dcgan, convnet, fastgan, resnet or infogan",
        metavar="NAME",
    )
    latent_dim: int = _setting(
        30, "size of a latent, the random vector from which the generator draws an image", 1
    )
    width: int = _setting(
        0,
        "channels of the models dcgan, convnet, fastgan and resnet; 0 for the default of the model",
        0,
    )
    dropout: float = _setting(
        0.4,
        "dropout rate in the discriminator of the model dcgan",
        0,
        below=1,
        needs={"model": ("dcgan",)},
        metavar="RATE",
    )
    conditional: bool = _setting(
        False, "give both networks the class of each image, so that samples can be drawn by class"
    )
    projected: bool = _setting(
        False,
        "use a discriminator that sees features of an ImageNet network, for color images; needs "
        "the extra features",
    )
    loss: str = _setting(
        "binary_crossentropy",
        "adversarial loss: binary_crossentropy, minimax, least_squares, hinge, wasserstein or "
        "relativistic",
        metavar="NAME",
    )
    r1: float = _setting(
        0.0,
        "weight of the R1 penalty, on the discriminator's gradient at real images; 0 for none",
        0,
        metavar="WEIGHT",
    )
    r2: float = _setting(
        0.0,
        "weight of the R2 penalty, on the discriminator's gradient at generated images; 0 for none",
        0,
        metavar="WEIGHT",
    )
    wgan_gp: float = _setting(
        0.0,
        "weight of the WGAN-GP penalty, for --loss wasserstein; 0 for none",
        0,
        metavar="WEIGHT",
    )
    dragan: float = _setting(
        0.0,
        "weight of the DRAGAN penalty, on the gradient around real images; 0 for none",
        0,
        metavar="WEIGHT",
    )
    penalty_decay_epochs: int = _setting(
        0,
        "number of first epochs in which the weights of the penalties fall along a cosine; 0 for "
        "constant",
        0,
        needs=_PENALTIES,
    )
    penalty_final_scale: float = _setting(
        0.1,
        "final weights of the gradient penalties, as a fraction of the first ones",
        0,
        1,
        needs={"penalty_decay_epochs": ()},
        metavar="FRACTION",
    )
    penalty_interval: int = _setting(
        1,
        "compute the gradient penalties every N steps, with N times their weight",
        1,
        needs=_PENALTIES,
    )
    lecam: float = _setting(
        0.0,
        "weight of the LeCam regularization, against overfitting of the discriminator; 0 for none",
        0,
        metavar="WEIGHT",
    )
    replay_size: int = _setting(
        0,
        "number of past generated images that the discriminator sees again: 0 for none, else at "
        "least --batch-size",
        0,
    )
    label_flip_rate: float = _setting(
        0.0,
        "fraction of pairs of a real and a generated image whose labels are swapped",
        0,
        below=0.5,
        metavar="FRACTION",
    )
    instance_noise: float = _setting(
        0.0, "standard deviation of Gaussian noise on the pixels", 0, metavar="SD"
    )
    noise_epochs: int = _setting(
        0,
        "number of epochs over which --instance-noise falls to 0; 0 keeps it constant",
        0,
        needs={"instance_noise": ()},
    )
    augment_mirror: bool = _setting(
        False, "mirror half of the images; unlike --mirror, generated ones as well"
    )
    scale: float = _setting(
        0.0, "largest change of size, as a power of 2: 1 is half to double", 0, 1, metavar="POWER"
    )
    rotation: float = _setting(
        0.0, "largest angle of rotation, as a fraction of 180 degrees", 0, 1, metavar="FRACTION"
    )
    translation: float = _setting(
        0.0, "largest shift, as a fraction of the image side", 0, 1, metavar="FRACTION"
    )
    cutout: float = _setting(
        0.0, "side of a hidden square, as a fraction of the image side", 0, 1, metavar="FRACTION"
    )
    brightness: float = _setting(
        0.0, "largest number added to all pixels of an image", 0, 1, metavar="NUMBER"
    )
    contrast: float = _setting(
        0.0, "largest change of contrast, as a fraction", 0, 1, metavar="FRACTION"
    )
    saturation: float = _setting(
        0.0, "largest change of saturation, as a fraction", 0, 1, metavar="FRACTION"
    )
    hue: float = _setting(
        0.0,
        "largest rotation of hue, as a fraction of 180 degrees",
        0,
        1,
        metavar="FRACTION",
    )
    augment_p: float = _setting(
        1.0,
        "probability of each augmentation; with --adaptive-augmentation, the largest probability",
        0,
        1,
        needs=_AUGMENTATIONS,
        metavar="P",
    )
    adaptive_augmentation: bool = _setting(
        False,
        "start with probability 0, and raise it while the discriminator overfits",
        needs=_AUGMENTATIONS,
    )
    overfit_target: float = _setting(
        0.6,
        "degree of overfitting above which --adaptive-augmentation raises the probability: 0 if "
        "held-out images are scored like training images, 1 if like generated ones",
        0.01,
        0.99,
        needs={"adaptive_augmentation": ()},
        metavar="DEGREE",
    )
    augment_ramp: int = _setting(
        100_000,
        "number of real images in which --adaptive-augmentation may raise the probability from 0 "
        "to 1",
        1,
        needs={"adaptive_augmentation": ()},
    )
    ema_decay: float = _setting(
        0.0,
        "decay per step of the moving average of the generator, from which samples are drawn, such "
        "as 0.999; 0 for no average",
        0,
        below=1,
        metavar="DECAY",
    )
    post_hoc_ema: bool = _setting(
        False,
        "keep averages of several lengths after each epoch, from which `fashion-gan average` "
        "chooses; each takes as much disk space as two generators",
    )
    d_steps: int = _setting(1, "updates of the discriminator per update of the generator", 1)
    g_optimizer: str = _setting(
        "rmsprop", "optimizer of the generator, by its name in Keras", metavar="NAME"
    )
    d_optimizer: str = _setting(
        "rmsprop", "optimizer of the discriminator, by its name in Keras", metavar="NAME"
    )
    g_learning_rate: float = _setting(0.001, "learning rate of the generator", 0, metavar="RATE")
    d_learning_rate: float = _setting(
        0.001, "learning rate of the discriminator", 0, metavar="RATE"
    )
    beta_1: float = _setting(
        0.9,
        "decay of the mean gradient in Adam and similar optimizers, for both networks",
        0,
        below=1,
        needs=_HAS_BETAS,
        metavar="DECAY",
    )
    beta_2: float = _setting(
        0.999,
        "decay of the mean squared gradient in Adam and similar optimizers, for both networks",
        0,
        below=1,
        needs=_HAS_BETAS,
        metavar="DECAY",
    )
    weight_decay: float = _setting(
        0.0,
        "decoupled weight decay of both networks, which is multiplied by the learning rate",
        0,
        metavar="RATE",
    )
    lr_decay_epochs: int = _setting(
        0, "number of epochs in which both learning rates fall along a cosine; 0 for constant", 0
    )
    lr_decay_start: int = _setting(
        0,
        "number of epochs at the full learning rates before --lr-decay-epochs begins",
        0,
        needs={"lr_decay_epochs": ()},
    )
    lr_final_scale: float = _setting(
        0.0,
        "final learning rates after --lr-decay-epochs, as a fraction of the full ones",
        0,
        1,
        needs={"lr_decay_epochs": ()},
        metavar="FRACTION",
    )
    epochs: int = _setting(
        50,
        "number of epochs, each with --steps-per-epoch steps or one pass over the training images",
        1,
    )
    steps_per_epoch: int = _setting(
        0, "number of train steps in an epoch; 0 for one pass over the training images", 0
    )
    batch_size: int = _setting(
        32, "number of real images, and of generated ones, in an update of the discriminator", 1
    )
    accumulate: int = _setting(
        1, "number of equal parts of a batch; their gradients are averaged to save memory", 1
    )
    init_from: str = _setting(
        "",
        "start with the weights of a run, a .keras file, or a generator of the package such as "
        "resnet; none for random weights, auto for those of emoji if they fit",
        metavar="RUN",
    )
    freeze_d: int = _setting(
        0,
        "number of first layers of the discriminator that keep the weights of --init-from",
        0,
        needs={"init_from": ()},
    )
    seed: int = _setting(
        42, "seed of the initial weights, the latents and the order of the images", 0, 2**32 - 1
    )
    dtype_policy: str = _setting(
        "float32", "dtype policy of Keras, for mixed precision", choices=DTYPE_POLICIES
    )
    jit_compile: bool | str = _setting(
        "auto",
        "whether XLA compiles the train step; auto decides by device and networks",
        choices=("auto", True, False),
    )
    steps_per_execution: int = _setting(
        100, "number of train steps in one call of the compiled graph", 1
    )
    log_gradients: bool = _setting(False, "log the norms of gradients and updates")
    image_freq: int = _setting(1, "write a grid of samples every N epochs", 1)
    on_collapse: str = _setting(
        "warn",
        "what to do if the monitor finds mode collapse or a diverging training: nothing, warn, "
        "stop, or restore the last good epoch",
        choices=("off", "warn", "stop", "restore"),
    )
    eval_freq: int = _setting(
        5,
        "compute scores every N epochs and after the last one; 0 for never; --steps raises the "
        "default so that at least 100 steps lie between two scores",
        0,
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            check_setting(field, value)
            if type(field.default) is float:
                object.__setattr__(self, field.name, float(value))
        if self.init_from == "none":
            object.__setattr__(self, "init_from", "")
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
