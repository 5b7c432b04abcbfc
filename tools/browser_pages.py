"""Opens web pages in a headless browser: Debian's chromium, driven by Playwright."""

import contextlib
import re
import shutil
import signal
import subprocess
import sys
import threading

BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--use-gl=angle",  # the projector draws with WebGL, here in software
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextlib.contextmanager
def browser_page(width=1400, height=1000):
    """Yields an empty Playwright page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=_FLAGS)
        page = browser.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(40_000)
        try:
            yield page
        finally:
            browser.close()


@contextlib.contextmanager
def tensorboard(logs):
    """Yields the address of a TensorBoard that serves a folder."""
    command = ["tensorboard.main", "--logdir", str(logs), "--port", "0", "--host", "127.0.0.1"]
    command += ["--load_fast", "false", "--samples_per_plugin", "images=100"]
    with _served(command) as (address, _):
        yield address


@contextlib.contextmanager
def explore(source):
    """Yields the address of a page that `fashion-gan explore` serves until Ctrl-C.

    Raises:
        RuntimeError: If the command does not end with status 0.
    """
    with _served(["fashion_gan", "explore", source, "--no-browser"]) as (address, process):
        yield address
        process.send_signal(signal.SIGINT)
        if status := process.wait(20):
            raise RuntimeError(f"Expected status 0 after Ctrl-C. Received: {status}.")


@contextlib.contextmanager
def _served(arguments):
    """Yields the address that a Python module prints, and its process."""
    command = [sys.executable, "-u", "-m", *arguments]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, **streams) as process:
        try:
            output = ""
            for line in process.stdout:
                output += line
                address = re.search(r"http://127\.0\.0\.1:\d+", line)
                if address:
                    break
            else:
                raise RuntimeError(f"Expected an address from {arguments[0]}. Received:\n{output}")
            threading.Thread(target=process.stdout.read, daemon=True).start()
            yield address[0], process
        finally:
            process.terminate()
