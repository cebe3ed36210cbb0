"""nginx in front of a service, as an operator sets it up: TLS, and a prefix before all paths."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tests.support.certificates import make_certificates
from tests.support.processes import until

CONFIG = """
daemon off;
pid {home}/pid;
error_log {home}/error.log;
events {{}}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_certificate {chain};
        ssl_certificate_key {key};
        location {prefix}/ {{
            proxy_pass {url}/;
            proxy_http_version 1.1;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto https;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_upgrade;
            proxy_request_buffering off;
        }}
    }}
}}
"""


def find_nginx() -> str | None:
    """Return the program; None if it is not installed."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


@contextlib.contextmanager
def running_nginx(home: Path, url: str, prefix: str) -> Iterator[str]:
    """Serve what is at `url` under another address, and give that."""
    program = find_nginx()
    assert program is not None
    certificates = make_certificates(home)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (home / "nginx.conf").write_text(
        CONFIG.format(
            home=home, port=port, chain=certificates.chain, key=certificates.key, prefix=prefix, url=url
        )
    )
    process = subprocess.Popen([program, "-c", str(home / "nginx.conf"), "-e", str(home / "error.log")])
    try:
        until(lambda: _listens(port), "nginx listens")
        yield f"https://localhost:{port}{prefix}"
    finally:
        process.terminate()
        process.wait(20)


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
