import os
import re
import warnings
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event

from fashion_gan.callbacks import ImageGrid
from fashion_gan.gan import GAN

FIXED, FRESH = "samples/fixed_latents", "samples/fresh_latents"


class Painter(keras.Model):
    """Stands in for a GAN: it paints darker with each epoch of one step, from seeded noise."""

    def __init__(self, image_shape=(5, 4, 1), value_range=(0.0, 1.0)):
        super().__init__()
        self.image_shape = image_shape
        self.value_range = value_range
        self.power = self.add_weight(name="power", shape=(), initializer="ones")
        self.built = True
        self.compile(optimizer=None, run_eagerly=True)

    def call(self, latents):
        return latents

    def train_step(self, data):
        self.power.assign_add(1.0)
        return {"power": self.power}

    def sample(self, count, *, seed=None, latents=None):
        low, high = self.value_range
        noise = np.random.default_rng(seed).uniform(size=(count, *self.image_shape))
        return (low + (high - low) * noise ** float(self.power)).astype("float32")


def train(model, *callbacks, epochs=2, **kwargs):
    batch = np.zeros((1, 1), "float32")
    return model.fit(batch, epochs=epochs, verbose=0, callbacks=list(callbacks), **kwargs)


def read(folder):
    """Returns all image events in `folder`, in order: `[(name, step, pictures, description)]`."""
    found = []
    for file in sorted(os.listdir(folder), key=lambda name: int(name.split(".")[-2])):
        for record in tf.data.TFRecordDataset(os.path.join(folder, file)).as_numpy_iterator():
            event = Event.FromString(record)
            for value in event.summary.value:
                width, height, *pngs = value.tensor.string_val
                pictures = [tf.io.decode_png(png).numpy() for png in pngs]
                assert all(p.shape[:2] == (int(height), int(width)) for p in pictures)
                found.append((value.tag, event.step, pictures, value.metadata.summary_description))
    return found


def read_steps(folder, name):
    return [step for tag, step, *_ in read(folder) if tag == name]


def read_grids(folder, name):
    grids = {}
    for tag, step, pictures, _ in read(folder):
        if tag == name:
            assert step not in grids and len(pictures) == 1
            grids[step] = pictures[0]
    return grids


def painted(model, step, seed, columns, invert=False):
    """Returns the expected grid of `model` after `step` epochs."""
    low, high = model.value_range
    twin = Painter(model.image_shape, model.value_range)
    twin.power.assign(1.0 + step)
    samples = twin.sample(6, seed=seed).astype("float64")
    height, width, channels = (*model.image_shape, 1)[:3]
    rows = 6 // columns
    shape = (rows * (height + 1) - 1, columns * (width + 1) - 1, channels)
    grid = np.full(shape, 192)
    for i in range(6):
        for y in range(height):
            for x in range(width):
                unit = (samples[i, y, x] - low) / (high - low)
                value = np.floor(255 * unit + 0.5)
                row, column = divmod(i, columns)
                target = row * (height + 1) + y, column * (width + 1) + x
                grid[target] = 255 - value if invert else value
    return grid


@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-1.0, 1.0), (0.0, 255.0)])
@pytest.mark.parametrize("image_shape", [(5, 4), (5, 4, 1), (5, 4, 3)])
def test_image_grid_writes_the_exact_samples_of_each_epoch(tmp_path, image_shape, value_range):
    model = Painter(image_shape, value_range)
    train(model, ImageGrid(tmp_path, num_images=6, columns=3, seed=7), epochs=2)
    fixed, fresh = (read_grids(tmp_path / "images", name) for name in (FIXED, FRESH))
    assert list(fixed) == list(fresh) == [0, 1, 2]
    for step in (0, 1, 2):
        np.testing.assert_array_equal(fixed[step], painted(model, step, 7, 3))
        np.testing.assert_array_equal(fresh[step], painted(model, step, 7 + 1 + step, 3))


def test_image_grid_inverts_pixels(tmp_path):
    model = Painter()
    train(model, ImageGrid(tmp_path, num_images=6, columns=2, invert=True), epochs=1)
    grids = read_grids(tmp_path / "images", FIXED)
    np.testing.assert_array_equal(grids[1], painted(model, 1, 0, 2, invert=True))


def test_image_grid_reuses_fixed_latents_and_redraws_fresh_ones(tmp_path):
    class Idle(Painter):
        def train_step(self, data):
            return {"power": self.power}

    train(Idle(), ImageGrid(tmp_path), epochs=3)
    fixed = [grid.tobytes() for grid in read_grids(tmp_path / "images", FIXED).values()]
    fresh = [grid.tobytes() for grid in read_grids(tmp_path / "images", FRESH).values()]
    assert len(fixed) == len(fresh) == 4
    assert len(set(fixed)) == 1
    assert len({*fixed, *fresh}) == 5


def test_image_grid_depends_on_the_seed(tmp_path):
    for name, seed in (("a", 5), ("b", 5), ("c", 6)):
        train(Painter(), ImageGrid(tmp_path / name, seed=seed), epochs=1)
    for name in (FIXED, FRESH):
        a, b, c = (read_grids(tmp_path / run / "images", name)[1] for run in "abc")
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()


@pytest.mark.parametrize("every, steps", [(1, [0, 1, 2, 3, 4, 5, 6, 7]), (3, [0, 3, 6]), (9, [0])])
def test_image_grid_is_written_before_training_and_after_every_nth_epoch(tmp_path, every, steps):
    train(Painter(), ImageGrid(tmp_path, image_freq=every), epochs=7)
    assert read_steps(tmp_path / "images", FIXED) == steps
    assert read_steps(tmp_path / "images", FRESH) == steps


def test_image_grid_continues_when_a_run_resumes(tmp_path):
    real = np.zeros((9, 5, 4), np.uint8)
    train(Painter(), ImageGrid(tmp_path / "unbroken", real_images=real), epochs=4)
    model = Painter()
    train(model, ImageGrid(tmp_path / "resumed", real_images=real), epochs=2)
    train(model, ImageGrid(tmp_path / "resumed", real_images=real), epochs=4, initial_epoch=2)
    for name, steps in ((FIXED, [0, 1, 2, 3, 4]), (FRESH, [0, 1, 2, 3, 4]), ("real", [0])):
        unbroken = read_grids(tmp_path / "unbroken" / "images", name)
        resumed = read_grids(tmp_path / "resumed" / "images", name)
        assert list(unbroken) == list(resumed) == steps
        for step in steps:
            np.testing.assert_array_equal(resumed[step], unbroken[step])


@pytest.mark.parametrize("value_range", [(0.0, 1.0), (-1.0, 1.0)])
def test_image_grid_shows_the_first_real_images_as_bytes_or_floats(tmp_path, value_range):
    low, high = value_range
    real = np.random.default_rng(0).integers(0, 256, (9, 5, 4, 1), dtype=np.uint8)
    floats = (low + real / 255 * (high - low)).astype("float32")
    for name, images in (("bytes", real), ("floats", floats)):
        model = Painter(value_range=value_range)
        train(
            model, ImageGrid(tmp_path / name, num_images=4, columns=2, real_images=images), epochs=2
        )
        grids = read_grids(tmp_path / name / "images", "real")
        assert list(grids) == [0]
        assert grids[0].shape == (11, 9, 1)
        for i, (y, x) in enumerate([(0, 0), (0, 5), (6, 0), (6, 5)]):
            np.testing.assert_array_equal(grids[0][y : y + 5, x : x + 4], real[i])


def test_image_grid_omits_the_real_grid_without_real_images(tmp_path):
    train(Painter(), ImageGrid(tmp_path), epochs=1)
    assert {name for name, *_ in read(tmp_path / "images")} == {FIXED, FRESH}


def test_image_grid_describes_each_grid(tmp_path):
    train(Painter(), ImageGrid(tmp_path, real_images=np.zeros((1, 5, 4), np.uint8)), epochs=1)
    descriptions = {name: description for name, *_, description in read(tmp_path / "images")}
    assert set(descriptions) == {FIXED, FRESH, "real"}
    for name in (FIXED, FRESH):
        assert "**Healthy:**" in descriptions[name] and "**Unhealthy:**" in descriptions[name]
    assert len(set(descriptions.values())) == 3


def test_image_grid_writes_enlarged_png_files_of_fixed_latents_and_real_images(tmp_path):
    real = np.zeros((1, 5, 4), np.uint8)
    folder = tmp_path / "deep" / "png"
    train(Painter(), ImageGrid(tmp_path, image_freq=2, real_images=real, png_dir=folder), epochs=5)
    names = {"epoch_0000.png": 0, "epoch_0002.png": 2, "epoch_0004.png": 4}
    assert set(os.listdir(folder)) == {"real.png", *names}
    for name, step in names.items():
        twin = Painter()
        twin.power.assign(1.0 + step)
        samples = np.floor(255 * twin.sample(32, seed=0).astype("float64") + 0.5)
        png = tf.io.decode_png((folder / name).read_bytes()).numpy()
        assert png.shape == (4 * 36 - 1, 8 * 29 - 1, 1)
        cells = np.pad(png, ((0, 1), (0, 1), (0, 0))).reshape(4, 36, 8, 29).swapaxes(1, 2)
        enlarged = np.kron(samples[..., 0], np.ones((1, 7, 7)))
        np.testing.assert_array_equal(cells[..., :35, :28].reshape(32, 35, 28), enlarged)
    png = tf.io.decode_png((folder / "real.png").read_bytes()).numpy()
    np.testing.assert_array_equal(png, np.zeros((35, 28, 1)))


def test_image_grid_writes_only_events_without_png_dir(tmp_path):
    train(Painter(), ImageGrid(tmp_path), epochs=1)
    names = [name for *_, names in os.walk(tmp_path) for name in names]
    assert len(names) == 1 and "tfevents" in names[0]


def open_files(folder):
    links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    targets = [os.readlink(link) for link in links if os.path.lexists(link)]
    return [target for target in targets if target.startswith(str(folder))]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="needs /proc")
def test_image_grid_opens_its_file_only_during_training(tmp_path):
    during = []
    grid = ImageGrid(tmp_path)
    spy = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: during.append(open_files(tmp_path))
    )
    assert os.listdir(tmp_path) == []
    for _ in range(2):
        train(Painter(), grid, spy, epochs=1)
        assert open_files(tmp_path) == []
    assert [len(files) for files in during] == [1, 1]


def test_image_grid_events_are_readable_after_an_interruption(tmp_path):
    grid = ImageGrid(tmp_path)

    def interrupt(epoch, logs):
        if epoch == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(Painter(), grid, keras.callbacks.LambdaCallback(on_epoch_end=interrupt), epochs=5)
    assert read_steps(tmp_path / "images", FIXED) == [0, 1, 2]
    train(Painter(), grid, epochs=5, initial_epoch=2)
    assert sorted(read_steps(tmp_path / "images", FIXED)) == [0, 1, 2, 3, 4, 5]
    assert not os.path.isdir("/proc/self/fd") or open_files(tmp_path) == []


def test_image_grid_writes_events_while_summary_recording_is_off(tmp_path):
    board = keras.callbacks.TensorBoard(tmp_path, update_freq=1000, write_graph=False)
    for name, callbacks in (("before", [board, None]), ("after", [None, board])):
        grid = ImageGrid(tmp_path / name)
        train(Painter(), *(callback or grid for callback in callbacks), epochs=2)
        assert read_steps(tmp_path / name / "images", FIXED) == [0, 1, 2]


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_image_grid_warns_for_non_finite_samples(tmp_path, bad):
    class Diverging(Painter):
        def sample(self, count, *, seed=None, latents=None):
            samples = super().sample(count, seed=seed)
            if self.power == 3.0:
                samples[1, 0, 0, 0] = samples[2, 4, 3, 0] = bad
            return samples

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        history = train(Diverging(), ImageGrid(tmp_path, num_images=5), epochs=4)
    assert history.epoch == [0, 1, 2, 3]
    assert len(caught) == 1
    assert "After 2 epochs 4 of 10 samples" in str(caught[0].message)
    assert read_steps(tmp_path / "images", FIXED) == [0, 1, 3, 4]
    assert read_steps(tmp_path / "images", FRESH) == [0, 1, 3, 4]


def cluster(task_type, task_id, **jobs):
    spec = tf.train.ClusterSpec({name: ["host:1"] * count for name, count in jobs.items()})
    return tf.distribute.cluster_resolver.SimpleClusterResolver(
        spec, task_type=task_type, task_id=task_id
    )


@pytest.mark.parametrize(
    "resolver, writes",
    [
        (None, True),
        (cluster("", None), True),
        (cluster("worker", 0, worker=2), True),
        (cluster("worker", 1, worker=2), False),
        (cluster("chief", 0, chief=1, worker=2), True),
        (cluster("worker", 0, chief=1, worker=2), False),
        (cluster("evaluator", 0, chief=1, worker=2), False),
    ],
)
def test_image_grid_is_written_only_by_the_chief(tmp_path, resolver, writes):
    model = SimpleNamespace(
        sample=Painter().sample,
        value_range=(0.0, 1.0),
        distribute_strategy=SimpleNamespace(cluster_resolver=resolver),
    )
    real = np.zeros((1, 5, 4), np.uint8)
    grid = ImageGrid(tmp_path / "logs", real_images=real, png_dir=tmp_path / "png")
    grid.set_model(model)
    grid.on_train_begin()
    grid.on_epoch_begin(0)
    grid.on_epoch_end(0)
    grid.on_train_end()
    assert sorted(os.listdir(tmp_path)) == (["logs", "png"] if writes else [])


@pytest.mark.parametrize(
    "wrong",
    [
        {"num_images": 0},
        {"num_images": 2.0},
        {"columns": 0},
        {"image_freq": 0},
        {"image_freq": -1},
        {"seed": -1},
        {"seed": None},
    ],
)
def test_image_grid_raises_for_wrong_arguments(tmp_path, wrong):
    (name, value), *_ = wrong.items()
    with pytest.raises(ValueError, match=re.escape(f"Received: {name}={value!r}.")):
        ImageGrid(tmp_path, **wrong)


def test_image_grid_raises_for_real_images_that_are_no_array(tmp_path):
    with pytest.raises(ValueError, match=r"images\.shape=\(\)"):
        ImageGrid(tmp_path, real_images=tf.data.Dataset.range(3))


def test_image_grid_raises_for_a_model_without_sample(tmp_path):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(loss="mse")
    with pytest.raises(TypeError, match="model=Sequential"):
        model.fit(np.zeros((1, 1)), np.zeros((1, 1)), verbose=0, callbacks=[ImageGrid(tmp_path)])


@pytest.mark.parametrize(
    "value_range, low, high", [((0.0, 1.0), -1.0, 1.0), ((-1.0, 1.0), 0.0, 255.0)]
)
def test_image_grid_raises_for_real_images_out_of_range(tmp_path, value_range, low, high):
    real = np.linspace(low, high, 20, dtype="float32").reshape(1, 5, 4)
    expected = rf"\[{value_range[0]:g}, {value_range[1]:g}\].*\[{low:g}, {high:g}\]"
    with pytest.raises(ValueError, match=expected):
        train(Painter(value_range=value_range), ImageGrid(tmp_path, real_images=real))


@pytest.fixture
def gan():
    keras.utils.set_random_seed(0)
    layers = keras.layers
    generator = keras.Sequential(
        [keras.Input((3,)), layers.Dense(20, activation="sigmoid"), layers.Reshape((5, 4))]
    )
    discriminator = keras.Sequential([keras.Input((5, 4)), layers.Flatten(), layers.Dense(1)])
    gan = GAN(generator, discriminator)
    gan.compile(jit_compile=False)
    return gan


def test_image_grid_uses_the_samples_of_a_gan(tmp_path, gan):
    images = np.random.default_rng(0).uniform(size=(8, 5, 4)).astype("float32")
    gan.fit(images, epochs=2, verbose=0, callbacks=[ImageGrid(tmp_path, num_images=2, seed=4)])
    first, second = np.floor(255 * gan.sample(2, seed=4).astype("float64") + 0.5)
    grid = read_grids(tmp_path / "images", FIXED)[2]
    np.testing.assert_array_equal(grid[:, :4, 0], first)
    np.testing.assert_array_equal(grid[:, 5:, 0], second)


def test_image_grid_does_not_change_training(tmp_path, gan):
    images = np.random.default_rng(0).uniform(size=(8, 5, 4)).astype("float32")
    start = gan.get_weights()
    gan.fit(images, epochs=2, shuffle=False, verbose=0)
    without = gan.get_weights()
    gan.set_weights(start)
    gan.compile(jit_compile=False)
    gan.fit(images, epochs=2, shuffle=False, verbose=0, callbacks=[ImageGrid(tmp_path)])
    for a, b in zip(gan.get_weights(), without, strict=True):
        np.testing.assert_array_equal(a, b)
    assert any((a != b).any() for a, b in zip(start, without, strict=True))
