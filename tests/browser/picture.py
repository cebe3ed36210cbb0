"""Keeps a picture of a page for the documentation: with few colours, so that it stays small."""

from __future__ import annotations

import io

from PIL import Image
from playwright.sync_api import Page

from tests.support.jupyter import REPOSITORY

TARGET = REPOSITORY / "docs" / "images"


def save(page: Page, name: str) -> None:
    """Take a picture, and keep it under a name."""
    TARGET.mkdir(exist_ok=True)
    picture = Image.open(io.BytesIO(page.screenshot(animations="disabled", caret="hide"))).convert("RGB")
    few = picture.quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=3, dither=Image.Dither.NONE)
    few.save(TARGET / name, optimize=True)
