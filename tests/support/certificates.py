"""Certificates of an authority of the test's own, made with openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import NamedTuple

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Certificates(NamedTuple):
    """The authority's certificate, and chain and key of a server whose names it vouches for."""

    authority: Path
    chain: Path
    key: Path


def make_certificates(directory: Path, names: str = "DNS:localhost,IP:127.0.0.1") -> Certificates:
    """Make an authority and a server certificate for some names, as openssl writes them."""
    (directory / "names").write_text(f"subjectAltName={names}\n")
    _openssl(
        directory, "req", "-x509", *_NEW_KEY, "-days", "2", "-subj", "/CN=authority of a test",
        "-keyout", "ca.key", "-out", "ca.pem",
    )  # fmt: skip
    _openssl(directory, "req", "-new", *_NEW_KEY, "-subj", "/CN=server", "-keyout", "key.pem", "-out", "csr")
    _openssl(
        directory, "x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
        "-days", "2", "-extfile", "names", "-out", "chain.pem",
    )  # fmt: skip
    return Certificates(directory / "ca.pem", directory / "chain.pem", directory / "key.pem")


def _openssl(directory: Path, *args: str) -> None:
    subprocess.run(["openssl", *args], cwd=directory, check=True, capture_output=True, timeout=60)
