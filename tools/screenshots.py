"""Takes the screenshots of TensorBoard and of `fashion-gan explore` for the documentation.

    python tools/screenshots.py logs/dense_modern-42

Requires Debian's chromium. Writes docs/images/tensorboard-*.png and explore.png.
"""

import argparse
from pathlib import Path

from browser_pages import browser_page, explore, tensorboard

IMAGES = Path(__file__).parent.parent / "docs/images"
TABS = {"custom_scalars": "GAN at a glance", "images": "samples/fixed_latents"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of the run")
    options = parser.parse_args()
    with tensorboard(options.run) as address, browser_page(1500, 1250) as page:
        for tab, text in TABS.items():
            page.goto(f"{address}/#{tab}")
            page.reload()
            page.get_by_text(text, exact=True).first.wait_for()
            page.wait_for_timeout(10_000)  # until the charts and images are loaded
            page.screenshot(path=IMAGES / f"tensorboard-{tab.replace('_', '-')}.png")
    with explore("resnet") as address, browser_page(1300, 1000) as page:
        page.goto(address)
        page.locator(".gallery-item img, .thumbnail-item img").nth(5).wait_for()
        page.wait_for_timeout(2_000)
        page.screenshot(path=IMAGES / "explore.png")


if __name__ == "__main__":
    main()
