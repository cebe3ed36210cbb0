"""Sphinx configuration: MyST pages, the furo theme, docstrings in numpydoc style."""

from __future__ import annotations

import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "jupyter_ext"), str(REPOSITORY / "docs" / "_ext")]

from caterva2 import __version__  # noqa: E402 - the path is set above

project = "Caterva2"
author = "Caterva2 developers"
project_copyright = "2026, Caterva2 developers"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "numpydoc",
    "program_reference",
    "rest_reference",
]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build", "_ext"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_typehints = "description"
autodoc_member_order = "bysource"
autosummary_generate = False
numpydoc_show_class_members = False
# Sections that the code outgrew, and docstrings that start or end in a wrong place.
numpydoc_validation_checks = {"GL06", "GL07", "PR02", "SS04"}

html_theme = "furo"
html_title = f"Caterva2 {version}"
html_show_sphinx = False
