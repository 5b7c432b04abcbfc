"""Implements algorithm 1 of Goodfellow et al. (2014) as one compiled Keras train step.

In the paper, k steps ascend the discriminator's gradient, each on a minibatch of noise samples and
a minibatch of examples. One step then descends the generator's gradient on a new minibatch of
noise. Here k is `d_steps`, and both phases descend.
"""

from typing import Any

from keras import ops

from fashion_gan.augmentations import overfitting
from fashion_gan.penalties import with_gradients
from fashion_gan.training.random import StepRandom
from fashion_gan.training.updates import frozen, minimize
from fashion_gan.typing import LabeledImages, Logits

__all__ = [
    "discriminate",
    "discriminator_step",
    "generator_step",
    "measure_overfitting",
    "parts_of_update",
    "scores",
    "train_step",
]

# Purposes of random numbers within an update. Each penalty adds a purpose at the end.
REAL, FAKE, REPLAY, FLIPS, FIRST_PENALTY = range(5)


def train_step(gan: Any, real: LabeledImages, random: StepRandom) -> dict[str, Any]:
    """Runs `d_steps` discriminator updates and one generator update, and returns the logs.

    Args:
        gan: Compiled `GAN`.
        real: Real images and labels for all `d_steps` updates.
        random: Random numbers of the GAN's seed.
    """
    first = gan.step_count * (gan.d_steps + 1)  # index of the first update of this step
    parts = real.split(gan.d_steps)
    d_logs = [discriminator_step(gan, part, random.at(first + i)) for i, part in enumerate(parts)]
    g_logs = generator_step(gan, parts[-1], random.at(first + gan.d_steps))
    if gan.ema_decay is not None:
        gan.ema_generator.update(gan.ema_decay, gan.step_count)
    if gan.power_averages is not None:
        gan.power_averages.update(gan.step_count)
    means = {name: ops.mean(ops.stack([logs[name] for logs in d_logs])) for name in d_logs[0]}
    return means | g_logs | {"augment_p": gan.augment_p}


def discriminator_step(gan: Any, real: LabeledImages, random: StepRandom) -> dict[str, Any]:
    """Updates the discriminator on real images and as many fakes of the frozen generator."""

    def loss_fn(real: LabeledImages, random: StepRandom) -> tuple[Any, dict[str, Any]]:
        fake = frozen(gan.generator, lambda: gan.generate(real, random))
        if gan.replay is not None:
            fake = gan.replay.exchange(fake, random.fold_in(REPLAY))
        fake = fake.with_images(ops.stop_gradient(fake.images))
        real, fake = see(gan, real, random, REAL), see(gan, fake, random, FAKE)
        (real_logits, fake_logits), norms_squared = discriminate(
            gan, real, fake, with_norms=bool(gan.fused_penalties)
        )
        regularization = sum(gan.discriminator.losses)
        logits = real_logits, fake_logits
        if gan.loss_function.label_flip_rate:
            uniform = random.fold_in(FLIPS).uniform(ops.shape(real_logits)[0], (1,))
            logits = gan.loss_function.flip_labels(*logits, uniform)
        loss = ops.mean(gan.loss_function.discriminator(*logits))
        penalty = gradient_penalty(gan, real, fake, norms_squared, random)
        lecam = ops.mean(gan.lecam.regularize(real_logits, fake_logits)) if gan.lecam else 0.0
        logs = {
            "d_loss": loss,
            "d_penalty": penalty,
            "d_lecam": lecam,
            "d_regularization": regularization,
            **scores(gan, real_logits, fake_logits),
        }
        return loss + penalty + lecam + regularization, logs

    parts = parts_of_update(gan, real, random)
    logs = minimize(loss_fn, parts, gan.discriminator, gan.d_optimizer, gan.log_gradients)
    return _prefixed("d", logs)


def generator_step(gan: Any, real: LabeledImages, random: StepRandom) -> dict[str, Any]:
    """Updates the generator through the frozen discriminator, with new latents."""

    def loss_fn(real: LabeledImages, random: StepRandom) -> tuple[Any, dict[str, Any]]:
        fake = gan.generate(real, random)
        regularization = sum(gan.generator.losses)
        seen = see(gan, fake, random, FAKE)
        rival = see(gan, real, random, REAL) if gan.loss_function.uses_real_logits else None
        real_logits, fake_logits = frozen(
            gan.discriminator,
            lambda: (None if rival is None else gan.logits(rival), gan.logits(seen)),
        )
        loss = ops.mean(gan.loss_function.generator(real_logits, fake_logits))
        return loss + regularization, {"g_loss": loss, "g_regularization": regularization}

    parts = parts_of_update(gan, real, random)
    logs = minimize(loss_fn, parts, gan.generator, gan.g_optimizer, gan.log_gradients)
    return _prefixed("g", logs)


def parts_of_update(
    gan: Any, real: LabeledImages, random: StepRandom
) -> list[tuple[LabeledImages, StepRandom]]:
    """Splits the batch of an update into `gan.accumulate` parts with separate random numbers.

    If there is one part, it has the random numbers of the update.
    """
    first = random.index * gan.accumulate
    return [(part, random.at(first + i)) for i, part in enumerate(real.split(gan.accumulate))]


def discriminate(
    gan: Any, real: LabeledImages, fake: LabeledImages, with_norms: bool, training: bool = True
) -> tuple[tuple[Any, Any], tuple[Any, Any] | None]:
    """Runs the discriminator once on a batch of all fakes followed by all reals.

    Args:
        gan: Compiled `GAN`.
        real: Real images and labels, as the discriminator sees them.
        fake: Generated images and labels, as the discriminator sees them.
        with_norms: Whether to compute gradient norms.
        training: Whether the discriminator runs in training mode. Defaults to True.

    Returns:
        The logits `(batch, 1)` of the reals and of the fakes. With norms, also the squared norms
        `(batch,)` of the gradients at the reals and at the fakes, else None.
    """
    both = fake.concatenate(real)
    if not with_norms:
        fake_logits, real_logits = ops.split(gan.logits(both, training), 2)
        return (real_logits, fake_logits), None
    logits, norms_squared = with_gradients(
        lambda images: gan.logits(both.with_images(images), training), both.images
    )
    (fake_logits, real_logits), (fake_norms, real_norms) = (
        ops.split(part, 2) for part in (logits, norms_squared)
    )
    return (real_logits, fake_logits), (real_norms, fake_norms)


def gradient_penalty(
    gan: Any,
    real: LabeledImages,
    fake: LabeledImages,
    norms_squared: tuple[Any, Any] | None,
    random: StepRandom,
) -> Any:
    """Computes the weighted sum of all gradient penalties, each a mean over the batch.

    Args:
        gan: Compiled `GAN`.
        real: Real images and labels.
        fake: Generated images and labels.
        norms_squared: Squared gradient norms of the reals and of the fakes for the fused penalties,
            or None.
        random: Random numbers of the update.
    """

    def weight(penalty: Any) -> Any:
        value = penalty.weight_at(gan.step_count)
        return value if isinstance(value, float | int) else ops.cast(value, real.images.dtype)

    total = 0.0
    for position, penalty in enumerate(gan.penalties):
        if norms_squared is not None and penalty in gan.fused_penalties:
            norm_squared = norms_squared[1 if penalty.uses_fake_labels else 0]
            total += ops.mean(weight(penalty) * penalty.penalty(norm_squared))
        else:
            stream = random.fold_in(FIRST_PENALTY + position)
            total += ops.mean(_own_pass(gan, penalty, weight(penalty), real, fake, stream))
    return total


def _own_pass(
    gan: Any,
    penalty: Any,
    weight: Any,
    real: LabeledImages,
    fake: LabeledImages,
    random: StepRandom,
) -> Any:
    """Computes a weighted penalty for each image in its own pass; zeros in steps that it skips."""
    size = ops.shape(real.images)[0]
    labeled = fake if penalty.uses_fake_labels else real

    def compute() -> Any:
        return weight * frozen(
            gan.discriminator,
            lambda: penalty(
                lambda images: gan.logits(labeled.with_images(images)),
                real.images,
                fake.images,
                lambda shape: random.uniform(size, shape),
            ),
        )

    if penalty.interval == 1:
        return compute()
    due = ops.equal(gan.step_count % penalty.interval, 0)
    zeros = ops.zeros((size,), real.images.dtype)
    return ops.cond(due, lambda: penalty.interval * compute(), lambda: zeros)


def see(gan: Any, images: LabeledImages, random: StepRandom, purpose: int) -> LabeledImages:
    """Augments images, and projects them if the GAN has a projector, see `augment`."""
    return gan.project(augment(gan, images, random, purpose))


def augment(gan: Any, images: LabeledImages, random: StepRandom, purpose: int) -> LabeledImages:
    """Applies all augmentations to images, before the discriminator sees them.

    Args:
        gan: Compiled `GAN`.
        images: Images and labels.
        random: Random numbers of the update.
        purpose: Purpose of the random numbers, `REAL` or `FAKE`.
    """
    result = images.images
    for position, augmentation in enumerate(gan.augmentations):
        stream = random.fold_in(purpose).fold_in(position)
        result = augmentation(
            result, stream, gan.step_count, gan.value_range[0], factor=gan.augment_p
        )
    return images.with_images(result)


def measure_overfitting(
    gan: Any, train: LabeledImages, held_out: LabeledImages, random: StepRandom
) -> Any:
    """Computes the overfitting from the mean logits of training, held-out and generated images.

    All images are augmented in the same way.
    """
    generated = gan.generate(train, random, training=False)
    seen = (see(gan, images, random, REAL) for images in (train, held_out, generated))
    return overfitting(*(ops.mean(gan.logits(images, training=False)) for images in seen))


def scores(gan: Any, real_logits: Logits, fake_logits: Logits) -> dict[str, Any]:
    """Computes the discriminator's accuracies and mean logits."""
    threshold = gan.loss_function.decision_threshold(real_logits, fake_logits)
    return {
        "d_accuracy_real": ops.mean(ops.cast(real_logits > threshold, real_logits.dtype)),
        "d_accuracy_fake": ops.mean(ops.cast(fake_logits < threshold, fake_logits.dtype)),
        "d_logit_real": ops.mean(real_logits),
        "d_logit_fake": ops.mean(fake_logits),
    }


def _prefixed(prefix: str, logs: dict[str, Any]) -> dict[str, Any]:
    start = f"{prefix}_"
    return {name if name.startswith(start) else start + name: v for name, v in logs.items()}
