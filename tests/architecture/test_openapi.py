"""The checked-in API document is the one that the endpoint table gives."""

from __future__ import annotations

import json
from pathlib import Path

from caterva2.model import openapi

DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"


def test_checked_in_document_is_fresh() -> None:
    # `make openapi` writes it.
    made = json.loads(json.dumps(openapi.document()))  # as JSON says it: no tuples

    assert json.loads(DOCUMENT.read_text(encoding="utf-8")) == made
