"""A web page in a headless browser: Debian's chromium, driven by Playwright."""

import contextlib
import re
import shutil
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
    """An empty Playwright page."""
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
    """The address of a TensorBoard that serves a folder."""
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logs), "--port", "0"]
    command += ["--host", "127.0.0.1", "--load_fast", "false", "--samples_per_plugin", "images=100"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            said = ""
            for line in process.stderr:
                said += line
                address = re.search(r"http://127\.0\.0\.1:\d+", line)
                if address:
                    break
            else:
                raise RuntimeError(f"TensorBoard ended:\n{said}")
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield address[0]
        finally:
            process.terminate()
