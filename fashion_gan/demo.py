"""Serves a demo page with sliders for the latent space, classes and nearest real images."""

import base64
import binascii
import importlib.util
import os
import random
import signal
import socket
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from fashion_gan import data, images, latents, metrics
from fashion_gan.data.decoding import ImageOptions
from fashion_gan.data.image_view import sample_in_memory
from fashion_gan.gan import GAN
from fashion_gan.runs.builder import load_split
from fashion_gan.runs.checkpoints import find_source
from fashion_gan.runs.config import Config

__all__ = ["Explorer", "open_source", "page", "serve"]

SLIDERS = 8
NEIGHBORS = 6
NO_TRUNCATION = 4.0
"""Standard deviations at which truncation has almost no effect, on one number in 16,000."""

_ANY = "any"
_SEEDS = 2**31
_MAX_UPLOAD = 4 * 2**20  # characters of an encoded image from the page
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_ALL_ADDRESSES = ("0.0.0.0", "::")
# The page reads the file, scales it to at most 512 pixels and sends it as text, since the server
# accepts no uploads. The browser opens the file dialog only in response to a click.
_CHOOSE = """
async (_, ...others) => {
  const input = document.createElement("input");
  input.type = "file";
  input.accept = "image/*";
  const file = await new Promise((resolve) => {
    input.onchange = () => resolve(input.files[0]);
    input.oncancel = () => resolve(null);
    input.click();
  });
  if (!file) return ["", ...others];
  try {
    const bitmap = await createImageBitmap(file);
    const scale = Math.min(1, 512 / Math.max(bitmap.width, bitmap.height));
    const canvas = document.createElement("canvas");
    canvas.width = Math.max(1, Math.round(bitmap.width * scale));
    canvas.height = Math.max(1, Math.round(bitmap.height * scale));
    canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
    return [canvas.toDataURL("image/png"), ...others];
  } catch {
    return ["not an image", ...others];
  }
}
"""
_LINES = """
# fashion-gan explore

`{source}` draws from {dim} standard normals. The directions are those in which its images change
most, the first one most of all; none of them was trained to have a meaning.
"""


@dataclass(frozen=True)
class Explorer:
    """Generates the images on the page, as uint8 `(height, width, 3)` with enlarged pixels.

    RGBA images are composited on white.

    Attributes:
        gan: GAN to sample from.
        directions: Array `(latent_dim, latent_dim)`. `latents.directions` of the generator.
        train_images: Training images uint8 `(n, height, width, channels)`, or the first ones if
            they do not fit into memory. None if they are unknown.
        class_names: Class names of a conditional GAN, or empty.
        use_ema: Whether to sample from the averaged generator, if there is one.
        image_options: Options for images to project. Defaults to the size of the generator.
    """

    gan: GAN
    directions: np.ndarray
    train_images: np.ndarray | None = None
    class_names: Sequence[str] = ()
    use_ema: bool = True
    image_options: ImageOptions | None = None

    def project(
        self, content: bytes, invert: bool, label: int | None
    ) -> tuple[np.ndarray, int | None, np.ndarray, float]:
        """Finds the latent whose image is closest to a given image.

        Args:
            content: Content of an image file of any size.
            invert: Whether to invert the image first.
            label: Class of the image for a conditional GAN, or None to try all classes.

        Returns:
            The latent `(latent_dim,)`, its class or None, the given image at the generator's size,
            and the error, see `latents.Projection`.

        Raises:
            ValueError: If `content` is not an image.
        """
        target = data.load_image(content, self.image_options)[None]
        if invert:
            target = images.invert(target)
        found = latents.project(self.gan, target, label, use_ema=self.use_ema)
        found_label = None if found.labels is None else int(found.labels[0])
        return found.latents[0], found_label, _shown(target, 1, 448), float(found.errors[0])

    def move(
        self, latent: np.ndarray, label: int | None, offsets: Sequence[float] = ()
    ) -> np.ndarray:
        """Draws the image of a latent, shifted along the first directions by `offsets`.

        Args:
            latent: Latent `(latent_dim,)`.
            label: Class for a conditional GAN. None is the first class.
            offsets: Shift along each of the first directions, in standard deviations.
        """
        moved = latent + np.asarray(offsets, np.float32) @ self.directions[: len(offsets)]
        return _shown(self._draw(moved[None], label), 1, 448)

    def sample(
        self, seed: int, label: int | None, threshold: float, offsets: Sequence[float] = ()
    ) -> tuple[np.ndarray, list[tuple[np.ndarray, str]]]:
        """Draws an image, and returns it with the nearest training images and their distances.

        Args:
            seed: Seed of the latent.
            label: Class for a conditional GAN. None is the first class.
            threshold: Largest absolute value in the latent, see `latents.truncate`.
            offsets: Shift along each of the first directions, in standard deviations.
        """
        latent = self._latents(1, seed, threshold)
        latent += np.asarray(offsets, np.float32) @ self.directions[: len(offsets)]
        image = self._draw(latent, label)
        return _shown(image, 1, 448), self._nearest(image)

    def interpolate(
        self, start: int, end: int, label: int | None, threshold: float, steps: int = 9
    ) -> np.ndarray:
        """Draws a strip of images between the latents of two seeds, along the arc between them."""
        first, last = (self._latents(1, seed, threshold)[0] for seed in (start, end))
        return _shown(self._draw(latents.interpolate(first, last, steps), label), steps, 1008)

    def grid(self, seed: int, label: int | None, threshold: float, count: int = 100) -> np.ndarray:
        """Draws a grid of images, which alternates the classes of a conditional GAN by default."""
        return _shown(self._draw(self._latents(count, seed, threshold), label), 10, 840)

    def _latents(self, count: int, seed: int, threshold: float) -> np.ndarray:
        return latents.truncate(count, self.gan.latent_dim, threshold, seed)

    def _draw(self, points: np.ndarray, label: int | None) -> np.ndarray:
        made = self.gan.sample(latents=points, labels=label, use_ema=self.use_ema)
        return images.with_channels(images.to_uint8(made, self.gan.value_range))

    def _nearest(self, image: np.ndarray) -> list[tuple[np.ndarray, str]]:
        if self.train_images is None:
            return []
        count = min(NEIGHBORS, len(self.train_images))
        found = metrics.nearest(_pixels(image), self._references, count)
        root = np.sqrt(image.size)  # converts the norm to the root mean square over pixels
        return [
            (_shown(self.train_images[[index]], 1, 140), f"{distance / root:.0f} of 255")
            for index, distance in zip(found.indices[0], found.distances[0], strict=True)
        ]

    @cached_property
    def _references(self) -> np.ndarray:
        assert self.train_images is not None  # noqa: S101
        return _pixels(self.train_images)


def _pixels(pictures: np.ndarray) -> np.ndarray:
    """Returns uint8 images as float32 rows, without the colors of transparent pixels."""
    return images.premultiply(pictures).reshape(len(pictures), -1).astype("float32")


def _shown(pictures: np.ndarray, columns: int, width: int) -> np.ndarray:
    """Tiles images into a grid of about `width` pixels, with gray images inverted."""
    grid = images.composite(images.tile(pictures, columns, invert=pictures.shape[-1] == 1))
    grid = np.broadcast_to(grid, (*grid.shape[:2], 3))
    factor = max(1, width // grid.shape[1])
    return grid.repeat(factor, axis=0).repeat(factor, axis=1)


def open_source(
    source: str,
    data_dir: str | os.PathLike[str] | None = None,
    *,
    which: str = "last",
    use_ema: bool = True,
    announce: Callable[[str], None] = lambda line: None,
) -> Explorer:
    """Returns the explorer of a run folder, a `.keras` file or a pretrained generator.

    If the training images are not available, only the nearest images are missing.

    Args:
        source: Run folder, `.keras` file or pretrained name.
        data_dir: Folder with Fashion-MNIST, see `data.find_fashion_mnist`.
        which: State of a run, see `checkpoints.load`. Defaults to `"last"`.
        use_ema: Whether to sample from the averaged generator, if there is one. Defaults to True.
        announce: Function that is called with a line on the backup, if a backup is loaded.

    Raises:
        FileNotFoundError: If the source does not exist.
    """
    found = find_source(source)
    gan, config = found.load(which, announce), found.config or Config()
    try:
        split = load_split(config, data_dir)
    except (OSError, ValueError):
        if data_dir is not None:
            raise
        split = None
    if split is not None and split.train_images.shape[1:] != (*gan.image_shape, 1)[:3]:
        split = None  # a .keras file does not name its training images
    names: Sequence[str] = ()
    if gan.num_classes is not None:
        known = None if split is None else split.class_names
        names = known or [f"class {number}" for number in range(gan.num_classes)]

    def draw(points: np.ndarray) -> np.ndarray:
        labels = None if gan.num_classes is None else 0
        low, high = gan.value_range
        samples = gan.sample(latents=points, labels=labels, use_ema=use_ema)
        return images.premultiply((samples - low) / (high - low))

    directions = latents.directions(draw, gan.latent_dim)
    train_images = None if split is None else sample_in_memory(split.train_images)
    options = found.image_options(gan.image_shape)
    return Explorer(gan, directions, train_images, names, use_ema, options)


def page(explorer: Explorer, title: str) -> Any:
    """Builds the page as a `gradio.Blocks`.

    Raises:
        ImportError: If Gradio is not installed.
    """
    if not importlib.util.find_spec("gradio"):
        raise ImportError('The page needs Gradio: pip install "fashion-gan[explore]".')
    import gradio as gr

    names = list(explorer.class_names)

    def classes(choices: list[str]) -> Any:
        return gr.Dropdown(choices, value=choices[0], label="class", visible=bool(names))

    def truncation() -> Any:
        info = f"larger numbers are redrawn; {NO_TRUNCATION:g} redraws none"
        return gr.Slider(
            0.1, NO_TRUNCATION, NO_TRUNCATION, step=0.1, label="truncation (sd)", info=info
        )

    def seed(value: int, label: str = "seed") -> Any:
        return gr.Number(value, label=label, precision=0, minimum=0, maximum=_SEEDS - 1)

    def picture(label: str) -> Any:
        return gr.Image(label=label, format="png", interactive=False, buttons=["download"])

    def follow(inputs: list[Any], outputs: Any, show: Callable[..., Any]) -> None:
        """Updates `outputs` on load and after each change, and skips all but the last of many."""
        gr.on(
            [blocks.load, *(component.change for component in inputs)],
            show,
            inputs,
            outputs,
            api_visibility="private",
            show_progress="hidden",
            trigger_mode="always_last",
        )

    def press(button: Any, answer: Callable[[], Any], outputs: Any) -> None:
        button.click(answer, None, outputs, api_visibility="private")

    def label_of(name: str) -> int | None:
        return names.index(name) if name in names else None

    def given(number: int | None) -> int:
        if number is None:
            raise gr.Error("Enter an integer of at least 0 as the seed.")
        return int(number)

    def project(text: str, invert: bool, name: str) -> Any:
        if not text:  # the dialog was closed
            return gr.skip(), gr.skip(), gr.skip()
        try:
            latent, label, target, error = explorer.project(_decoded(text), invert, label_of(name))
        except ValueError as caught:
            raise gr.Error(str(caught)) from None
        drawn = "" if label is None or not names else f", drawn as {names[label]}"
        return (
            (latent, label),
            target,
            f"Root mean square error {error:.3f}, for pixels from 0 to 1{drawn}.",
        )

    def move(projected: Any, *offsets: float) -> Any:
        if projected is None:
            return None
        latent, label = projected
        return explorer.move(latent, label, offsets)

    def one(seed: int | None, name: str, threshold: float, *offsets: float) -> Any:
        image, near = explorer.sample(given(seed), label_of(name), threshold, offsets)
        return (image, near) if explorer.train_images is not None else image

    def way(start: int | None, end: int | None, name: str, threshold: float) -> Any:
        return explorer.interpolate(given(start), given(end), label_of(name), threshold)

    def many(seed: int | None, name: str, threshold: float) -> Any:
        return explorer.grid(given(seed), label_of(name), threshold)

    with gr.Blocks(analytics_enabled=False, title=f"fashion-gan: {title}") as blocks:
        gr.Markdown(_LINES.format(source=title, dim=explorer.gan.latent_dim))
        with gr.Tab("One"), gr.Row():
            with gr.Column():
                inputs = [seed(0), classes(names or [_ANY]), truncation()]
                press(gr.Button("Another"), lambda: random.randrange(_SEEDS), inputs[0])
                sliders = [
                    gr.Slider(-6, 6, 0, step=0.1, label=f"direction {number} (sd)")
                    for number in range(1, min(SLIDERS, explorer.gan.latent_dim) + 1)
                ]
                press(gr.Button("Back to 0"), lambda: [0] * len(sliders), sliders)
            with gr.Column():
                outputs = [picture("generated")]
                if explorer.train_images is not None:
                    gr.Markdown("The nearest training images, by root mean square of the pixels:")
                    outputs.append(gr.Gallery(show_label=False, format="png", columns=3))
                else:
                    gr.Markdown(
                        "The training images were not found, so the nearest ones are not shown."
                    )
            follow([*inputs, *sliders], outputs, one)
        with gr.Tab("Your image"), gr.Row():
            projected = gr.State(None)
            text = gr.Textbox(visible=False)
            with gr.Column():
                choose = gr.Button("Choose an image", variant="primary")
                invert = gr.Checkbox(label="dark on white: invert the image first")
                kind = classes([_ANY, *names])
                moves = [
                    gr.Slider(-6, 6, 0, step=0.1, label=f"move {number} (sd)")
                    for number in range(1, min(SLIDERS, explorer.gan.latent_dim) + 1)
                ]
                press(gr.Button("Back to the nearest"), lambda: [0] * len(moves), moves)
            with gr.Column():
                said = gr.Markdown("The search for the nearest latent takes seconds.")
                target = picture("your image")
            with gr.Column():
                drawn = picture("as the generator draws it")
            choose.click(
                project,
                [text, invert, kind],
                [projected, target, said],
                js=_CHOOSE,
                api_visibility="private",
            )
            follow([projected, *moves], drawn, move)
        with gr.Tab("From one to another"):
            with gr.Row():
                inputs = [seed(0, "seed of the first"), seed(1, "seed of the last")]
                inputs += [classes(names or [_ANY]), truncation()]
            follow(inputs, picture("on the arc between two latents"), way)
        with gr.Tab("Many"):
            with gr.Row():
                inputs = [seed(0), classes([_ANY, *names]), truncation()]
            follow(inputs, picture("100 samples"), many)
    return blocks


def _decoded(text: str) -> bytes:
    """Returns the content of a PNG file that the page sent as a data URL.

    Raises:
        ValueError: If the text is not such a URL, or too large.
    """
    head = "data:image/png;base64,"
    try:
        if not text.startswith(head) or len(text) > _MAX_UPLOAD:
            raise ValueError
        return base64.b64decode(text.removeprefix(head), validate=True)
    except (ValueError, binascii.Error):
        raise ValueError(
            "Expected an image that the browser can show. Received: another file. Choose a PNG or "
            "JPEG file."
        ) from None


@contextmanager
def _listening(host: str, port: int | None) -> Iterator[None]:
    """Converts the errors of an address or port that cannot be used into a single error."""
    try:
        yield
    except (OSError, OverflowError, UnicodeError) as error:  # invalid ports and names raise these
        wanted = "a port from 7860 on" if port is None else f"port {port}"
        raise OSError(
            f"Cannot listen on {wanted} of {host}. The port may be in use, or {host} is not an "
            "address of this machine. Choose others with --port and --host."
        ) from error


class _RequestCheck:
    """Answers 403, as ASGI middleware, to other hosts, other origins and uploads.

    A website can point its own name at this machine (DNS rebinding). The browser then treats the
    page as part of that website. Such requests carry the website's name in `Host`.

    Args:
        app: ASGI application to protect.
        host: Address that the server binds to.
    """

    def __init__(self, app: Any, host: str) -> None:
        self.app = app
        self.hosts = {*_LOOPBACK, host.lower()}
        if host in _ALL_ADDRESSES:
            self.hosts |= {socket.gethostname().lower(), socket.getfqdn().lower()}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Passes a request on or answers it."""
        if scope["type"] != "http" or self._is_allowed(scope):
            await self.app(scope, receive, send)
            return
        while (await receive()).get("more_body"):  # an unread body would cut off the answer
            pass
        headers = [(b"content-length", b"0")]
        await send({"type": "http.response.start", "status": 403, "headers": headers})
        await send({"type": "http.response.body"})

    def _is_allowed(self, scope: Any) -> bool:
        address, port = scope["server"]  # of this machine, as the client reached it
        hosts = {f"[{host}]" if ":" in host else host for host in (*self.hosts, address)}
        allowed = {f"{host}:{port}" for host in hosts}
        if port == 80:  # which browsers omit
            allowed |= hosts
        header = {name: value.decode("latin-1").lower() for name, value in scope["headers"]}
        host = header.get(b"host", "")
        is_upload = (
            header.get(b"content-type", "").startswith("multipart/")
            or scope["path"].rstrip("/") == "/gradio_api/upload"
        )
        own_origin = f"http://{host}"
        return host in allowed and header.get(b"origin", own_origin) == own_origin and not is_upload


@contextmanager
def _gradio_environment(host: str) -> Iterator[None]:
    """Makes Gradio write to a temporary folder, and ask its own address without a proxy."""
    no_proxy = os.environ.get("no_proxy", os.environ.get("NO_PROXY"))
    direct = ",".join(filter(None, [no_proxy, *_LOOPBACK, host]))
    with tempfile.TemporaryDirectory(prefix="fashion-gan-explore-") as folder:
        variables = {"GRADIO_TEMP_DIR": folder, "no_proxy": direct}
        before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    """Raises KeyboardInterrupt on the first SIGTERM, and restores the previous handler."""
    if threading.current_thread() is not threading.main_thread():  # only it can handle signals
        yield
        return

    def interrupt(*_: Any) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second one would interrupt the cleanup
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


def serve(
    explorer: Explorer,
    title: str,
    host: str = "127.0.0.1",
    port: int | None = None,
    *,
    browser: bool = True,
    announce: Callable[[str], None] = print,
) -> None:
    """Serves the page of an explorer until Ctrl-C or SIGTERM.

    With the default `host`, only this machine can reach the page. The page answers only requests
    for its own address. Its images are in a temporary folder, which is removed at the end. It
    serves no other files, accepts no uploads and makes no external requests. An image to project
    is sent as text and stays in memory.

    Args:
        explorer: Explorer from `open_source`.
        title: Title of the page.
        host: Address to bind to. `"0.0.0.0"` binds to all addresses of this machine. Defaults to
            `"127.0.0.1"`.
        port: Port to listen on. Defaults to the first free one from 7860.
        browser: Whether to open the page in a browser. Defaults to True.
        announce: Function that is called with the address of the page. Defaults to `print`.

    Raises:
        ImportError: If Gradio is not installed.
        OSError: If the port is in use, or `host` is not an address of this machine.
    """
    host = host.removeprefix("[").removesuffix("]")
    with _listening(host, port):  # uvicorn would print a separate line for each port it tries
        family, *_, address = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0]
        socket.create_server(address[:2], family=family).close()

    @asynccontextmanager
    async def check_requests(app: Any) -> AsyncIterator[None]:
        # Gradio's own CORS middleware wraps any in `app_kwargs` and would answer first.
        app.middleware_stack = _RequestCheck(app.middleware_stack, host)
        yield

    with _sigterm_interrupts(), _gradio_environment(host):
        blocks = page(explorer, title)
        try:
            with _listening(host, port):
                _, address, _ = blocks.launch(
                    server_name=f"[{host}]" if ":" in host else host,
                    server_port=port,
                    inbrowser=browser,
                    share=False,
                    quiet=True,
                    prevent_thread_lock=True,
                    footer_links=[],
                    enable_monitoring=False,
                    ssr_mode=False,
                    mcp_server=False,
                    max_file_size=0,
                    app_kwargs={"lifespan": check_requests},
                )
            announce(f"The page: {address} (Ctrl-C ends it)")
            threading.Event().wait()
        except KeyboardInterrupt:
            announce("The page is closed.")
        finally:
            blocks.close(verbose=False)
