"""Tests the page of TensorBoard for a run, in a browser."""

import dataclasses
import re
import warnings

import pytest
from helpers import SMALL_RUN, use_small_fashion_mnist

from fashion_gan.runs.config import Config
from fashion_gan.runs.train import train_run
from tools.browser_pages import BROWSER, browser_page, tensorboard

pytest.importorskip("playwright")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium is installed")


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Yields a browser page, and the address of a TensorBoard with two short runs."""
    logs = tmp_path_factory.mktemp("logs")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the monitor speaks, with good reason
        use_small_fashion_mnist(patch)
        for name, rate in (("slow", 1e-4), ("fast", 2e-3)):
            settings = {**SMALL_RUN, "on_collapse": "warn", "g_learning_rate": rate}
            train_run(Config(epochs=2, **settings), logs / name, verbose=0)
    with tensorboard(logs) as address, browser_page() as page:
        page.address = address
        yield page


def open_tab(page, name):
    """Reloads TensorBoard and shows a tab."""
    page.goto(f"{page.address}/#{name}")
    page.reload()


def wait_for(page, *texts):
    """Waits until each of the texts is visible."""
    for text in texts:
        page.get_by_text(text, exact=True).first.wait_for(state="visible")


def test_custom_scalars_page_shows_charts_of_both_runs(page):
    open_tab(page, "custom_scalars")
    wait_for(page, "GAN at a glance", "losses", "accuracies of the discriminator")
    wait_for(page, "Fréchet distance", "precision, recall and coverage", "shares of the classes")
    wait_for(page, "Matches (8)")  # two losses, of two runs, each in training and validation
    wait_for(page, "Matches (20)")  # ten classes, of two runs
    page.get_by_text("epoch_g_loss").first.wait_for(state="attached")


def test_images_page_shows_names_descriptions_and_steps_in_epochs(page):
    open_tab(page, "images")
    wait_for(page, "real", "samples/fixed_latents", "samples/fresh_latents")
    picture = page.locator("tf-image-loader img").first
    picture.wait_for(state="visible")
    assert picture.evaluate("image => image.naturalWidth") > 200
    page.locator(".heading-label", has_text=re.compile(r"step\s+2")).first.wait_for()
    page.get_by_text("noise turns into clear images").first.wait_for(state="attached")


def test_scalars_page_shows_both_networks(page):
    open_tab(page, "scalars")
    wait_for(page, "epoch_d_accuracy_fake", "epoch_d_loss")


def test_hparams_page_shows_a_row_for_each_run_and_differing_settings_first(page):
    open_tab(page, "hparams")
    wait_for(page, "Trial ID", "g_learning_rate", "0.00010000", "0.0020000")
    heads = " ".join(page.locator("vaadin-grid-cell-content").all_inner_texts()).split()
    alike = [heads.index(field.name) for field in dataclasses.fields(Config) if field.name in heads]
    alike.remove(heads.index("g_learning_rate"))
    assert alike and heads.index("g_learning_rate") < min(alike)


def test_projector_page_shows_points(page):
    open_tab(page, "projector")
    inner = page.frame_locator("iframe").frame_locator("iframe")
    inner.get_by_text("Points:").wait_for()
    inner.locator("canvas").first.wait_for()
    inner.get_by_text("Label by").first.wait_for(state="attached")
