"""Builds charts and HTML pages as text."""

from fashion_gan.pages.charts import bars, curves
from fashion_gan.pages.html import html_page

__all__ = ["bars", "curves", "html_page"]
