"""Tests that memory stays constant during a run."""

import subprocess
import sys

CODE = """
import sys, tempfile
import numpy as np, psutil
from fashion_gan import GAN, callbacks, models
import keras

class Memory(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        if epoch + 1 in (25, 100):
            print(epoch + 1, psutil.Process().memory_info().rss)

gan = GAN(*models.build_networks("dense", latent_dim=3, image_shape=(8, 8, 1)))
gan.compile(jit_compile=False)
images = np.random.default_rng(0).random((64, 8, 8, 1), dtype="float32")
with tempfile.TemporaryDirectory() as folder:
    grid = callbacks.ImageGrid(folder, num_images=16)
    gan.fit(images, batch_size=64, epochs=100, callbacks=[grid, Memory()], verbose=0)
"""


def test_fit_uses_no_more_memory_after_100_epochs_than_after_25():
    result = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE], capture_output=True, text=True, check=True
    )
    memory = {int(a): int(b) for a, b in (line.split() for line in result.stdout.splitlines())}
    assert memory[25] > 1e8
    assert memory[100] < 1.02 * memory[25]
