"""Tests the page of `fashion-gan explore`, in a browser."""

import io
import socket
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import keras
import numpy as np
import pytest
from PIL import Image

from fashion_gan import GAN, data, demo, images, latents, models
from fashion_gan.cli.main import main
from tools import browser_pages
from tools.browser_pages import BROWSER, browser_page


@pytest.fixture(scope="module")
def explorer():
    """Returns an explorer of the book's GAN and Fashion-MNIST."""
    return demo.open_source("dense")


def test_explorer_sample_depends_on_seed_and_directions(explorer):
    still, near = explorer.sample(5, None, demo.NO_TRUNCATION)
    moved, _ = explorer.sample(5, None, demo.NO_TRUNCATION, [0, 3])
    assert still.dtype == np.uint8 and still.shape == (448, 448, 3)
    assert (still == explorer.sample(5, None, demo.NO_TRUNCATION, [0.0] * 8)[0]).all()
    assert (still != moved).mean() > 0.05
    assert len(near) == demo.NEIGHBORS


def test_explorer_finds_the_nearest_images(explorer):
    fashion = data.load_fashion_mnist()
    (image,) = images.to_uint8(explorer.gan.sample(latents=latents.truncate(1, 30, 4.0, 5)))[None]
    _, near = explorer.sample(5, None, demo.NO_TRUNCATION)
    apart = np.sqrt(np.mean((fashion.train_images - np.float64(image)) ** 2, axis=(1, 2, 3)))
    for (picture, caption), index in zip(near, np.argsort(apart), strict=False):
        assert caption == f"{apart[index]:.0f} of 255"
        assert (picture[::5, ::5, :1] == 255 - fashion.train_images[index]).all()


def test_explorer_interpolates_from_seed_to_seed(explorer):
    strip = explorer.interpolate(3, 4, None, demo.NO_TRUNCATION, steps=5)
    edge = strip.shape[0]
    for seed, end in ((3, strip[:, :edge]), (4, strip[:, -edge:])):
        image, _ = explorer.sample(seed, None, demo.NO_TRUNCATION)
        assert (end[:: edge // 28, :: edge // 28] == image[::16, ::16]).all()


def png_of(pixels, scale=1):
    """Encodes a gray image as PNG, with squares for pixels."""
    stream = io.BytesIO()
    enlarged = pixels[..., 0].repeat(scale, axis=0).repeat(scale, axis=1)
    Image.fromarray(enlarged).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize("invert", [False, True])
def test_explorer_projects_an_image_and_moves_from_there(explorer, invert):
    (pixels,) = images.to_uint8(explorer.gan.sample(1, seed=1_000))
    content = png_of(255 - pixels if invert else pixels)
    latent, label, target, error = explorer.project(content, invert, None)
    assert label is None and error < 0.05
    assert (target[::16, ::16, :1] == 255 - pixels).all()
    drawn = explorer.move(latent, label)
    (expected,) = images.to_uint8(explorer.gan.sample(latents=latent[None]))
    assert (drawn[::16, ::16, :1] == 255 - expected).all()
    moved = explorer.move(latent, label, [0, 3])
    assert (explorer.move(latent, label, [0.0] * 8) == drawn).all()
    assert (moved != drawn).mean() > 0.02


@pytest.mark.parametrize(
    "text",
    [
        "not an image",
        "data:image/png;base64,@@",
        "data:image/svg+xml;base64,AAAA",
        "data:image/png;base64," + "A" * 5_000_000,
    ],
)
def test_page_raises_for_text_instead_of_a_png(text):
    with pytest.raises(ValueError, match="image that the browser can show. Received: another"):
        demo._decoded(text)


def test_explorer_raises_for_a_damaged_image(explorer):
    with pytest.raises(ValueError, match="the image cannot be read as an image: .*Name another."):
        explorer.project(png_of(np.zeros((28, 28, 1), np.uint8))[:20], False, None)


def test_explorer_samples_the_chosen_classes(tmp_path):
    keras.utils.set_random_seed(1)
    gan = GAN(*models.build_networks("dense", num_classes=10))
    gan.compile()
    gan.save(tmp_path / "a.keras")
    explorer = demo.open_source(str(tmp_path / "a.keras"))
    assert tuple(explorer.class_names) == data.CLASS_NAMES
    first, last = (explorer.sample(0, label, demo.NO_TRUNCATION)[0] for label in (0, 9))
    assert (first != last).any()
    assert explorer.grid(0, None, 2.0).shape == explorer.grid(0, 3, 2.0).shape


def test_explorer_works_without_training_images(tmp_path):
    gan = GAN(*models.build_networks("dense", image_shape=(8, 8, 3)))
    gan.compile()
    gan.save(tmp_path / "a.keras")
    explorer = demo.open_source(str(tmp_path / "a.keras"))
    image, near = explorer.sample(0, None, 1.0)
    assert image.shape == (448, 448, 3) and near == []
    assert main(["explore", str(tmp_path / "b.keras")]) == 2


def test_page_raises_with_the_extra_without_gradio(explorer, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install .fashion-gan\[explore\]"):
        demo.page(explorer, "dense")


def test_explore_raises_for_a_port_in_use():
    pytest.importorskip("gradio")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "fashion_gan", "explore", "dense", "--no-browser"]
        done = subprocess.run([*command, "--port", port], capture_output=True, text=True)
    assert done.returncode == 2
    assert f"Cannot listen on port {port} of 127.0.0.1." in done.stderr
    assert "--port" in done.stderr and len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("host", ["192.0.2.1", "no..host"])
def test_serve_raises_for_the_host_of_another_machine(explorer, host, capfd):
    with pytest.raises(OSError, match=f"Cannot listen on port 7860 of {host}. The port may"):
        demo.serve(explorer, "dense", host, 7860, browser=False)
    assert capfd.readouterr() == ("", "")


@pytest.fixture(scope="module")
def address():
    """Yields the address of a page that `fashion-gan explore` serves."""
    pytest.importorskip("gradio")
    with browser_pages.explore("dense") as address:
        yield address


@pytest.mark.skipif(BROWSER is None, reason="no chromium is installed")
def test_page_shows_other_images_when_sliders_move(address):
    pytest.importorskip("playwright")
    asked, said = set(), []
    with browser_page() as page:
        page.on("request", lambda request: asked.add(urllib.parse.urlsplit(request.url).netloc))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(address)
        picture = page.locator(".image-frame img").first
        picture.wait_for()
        page.locator(".gallery-item img, .thumbnail-item img").nth(5).wait_for()
        before = picture.get_attribute("src")
        page.get_by_label("number input for direction 1 (sd)").fill("5")
        page.wait_for_function(
            "before => document.querySelector('.image-frame img').src !== before", arg=before
        )
        page.get_by_role("button", name="Back to 0").click()
        page.wait_for_function(
            "() => [...document.querySelectorAll('input[type=number]')].every(i => i.value !== '5')"
        )
        for tab, label in (("From one to another", "on the arc"), ("Many", "100 samples")):
            page.get_by_role("tab", name=tab).click()
            page.get_by_text(label).first.wait_for(state="visible")
            page.locator(".image-frame img >> visible=true").first.wait_for()
    assert asked == {urllib.parse.urlsplit(address).netloc} and not said


@pytest.mark.skipif(BROWSER is None, reason="no chromium is installed")
def test_page_projects_the_chosen_image(address, explorer, tmp_path):
    pytest.importorskip("playwright")
    (pixels,) = images.to_uint8(explorer.gan.sample(1, seed=1_000))
    (tmp_path / "shoe.png").write_bytes(png_of(pixels, scale=10))
    (tmp_path / "text.png").write_text("no image")
    with browser_page() as page:
        page.goto(address)
        page.get_by_role("tab", name="Your image").click()
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Choose an image").click()
        chooser.value.set_files(tmp_path / "shoe.png")
        page.get_by_text("for pixels from 0 to 1").wait_for()
        shown = page.locator(".image-frame img >> visible=true")
        shown.nth(1).wait_for()
        before = shown.nth(1).get_attribute("src")
        page.get_by_label("number input for move 1 (sd)").fill("5")
        page.wait_for_function(
            "before => [...document.querySelectorAll('.image-frame img')]"
            ".every(image => image.src !== before)",
            arg=before,
        )
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Choose an image").click()
        chooser.value.set_files(tmp_path / "text.png")
        page.get_by_text("Expected an image that the browser can show").wait_for()


def test_page_listens_on_this_machine_and_serves_only_its_own_files(address, tmp_path):
    (tmp_path / "secret.txt").write_text("secret")
    port = urllib.parse.urlsplit(address).port
    assert urllib.parse.urlsplit(address).hostname == "127.0.0.1"
    for path in ("/etc/hostname", Path(__file__), Path("README.md"), tmp_path / "secret.txt"):
        for ask in (f"/gradio_api/file={path}", f"/file={path}", f"/static/../..{path}"):
            with pytest.raises(urllib.error.HTTPError) as caught:
                urllib.request.urlopen(f"{address}{urllib.parse.quote(ask, safe='/=.')}")
            assert caught.value.code in (403, 404, 405)
            caught.value.close()
    others = {
        found[4][0]
        for found in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)
        if not found[4][0].startswith("127.")
    }
    for other in others:
        with pytest.raises(OSError):
            socket.create_connection((other, port), timeout=2)
