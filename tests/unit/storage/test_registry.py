from __future__ import annotations

import pytest

from caterva2.errors import ConfigError
from caterva2.storage.directory import DirectorySource
from caterva2.storage.registry import open_source


def test_a_directory_is_a_root(tmp_path):
    assert isinstance(open_source(str(tmp_path), tmp_path / "cache"), DirectorySource)


def test_a_missing_directory_is_named(tmp_path):
    with pytest.raises(ConfigError, match="expected a directory, found nothing"):
        open_source(str(tmp_path / "nothing"), tmp_path / "cache")


def test_a_file_that_nobody_serves_is_refused(tmp_path):
    (tmp_path / "a.xyz").write_text("a")

    with pytest.raises(ConfigError, match="nothing here can serve"):
        open_source(str(tmp_path / "a.xyz"), tmp_path / "cache")
