"""Web servers in front of a subscriber, with the files of ``contrib/`` as an operator uses them.

Of a file only names and places are replaced: host, ports, certificates, and the
address of the subscriber. What a file leaves to the rest of a server's
configuration is added around it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from tests.support.certificates import make_certificates
from tests.support.processes import until

REPOSITORY = Path(__file__).resolve().parents[2]
CONTRIB = REPOSITORY / "contrib"
PREFIX = "/data/sets"
"""In the files whose name says prefix."""

_NGINX = """
daemon off;
pid {home}/pid;
error_log {home}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    include {home}/site.conf;
}}
"""
_CADDY = """
{{
	admin off
	http_port {plain}
	https_port {port}
	storage file_system {home}/storage
	skip_install_trust
}}
"""
# What a2enmod switches on, and what Debian has on by itself.
_MODULES = (
    "authz_core deflate env filter headers mpm_event proxy proxy_http proxy_wstunnel ssl alias reqtimeout"
)
_APACHE = """
ServerRoot "{home}"
DefaultRuntimeDir "{home}"
PidFile "{home}/pid"
ErrorLog "{home}/error.log"
ServerName localhost
Listen 127.0.0.1:{plain}
Listen 127.0.0.1:{port}
{modules}
AddOutputFilterByType DEFLATE text/html text/plain application/json
RequestReadTimeout header=20-40,minrate=500 body=10,minrate=500
User {user}
Include "{home}/site.conf"
"""


class Place(NamedTuple):
    """Where a proxy listens, and what it stands before.

    Attributes
    ----------
    port, plain
        For https and for http.
    upstream
        Host and port of the subscriber.
    """

    port: int
    plain: int
    upstream: str


class Proxy(NamedTuple):
    """A web server: its program, its files at ``/`` and under `PREFIX`, and how it is started.

    Attributes
    ----------
    swaps
        What to replace in the files besides the usual.
    command
        Writes what stands around ``site.conf`` in a directory, and gives the command line.
    """

    name: str
    program: str
    site: str
    prefixed: str
    swaps: Callable[[Place, Path, Path], Mapping[str, str]]
    command: Callable[[str, Path, Place], list[str]]

    def find(self) -> str | None:
        """Return the program; None if it is not installed."""
        return shutil.which(self.program) or shutil.which(self.program, path="/usr/sbin")


def _nginx_swaps(place: Place, chain: Path, key: Path) -> dict[str, str]:
    return {
        "listen 80;": f"listen 127.0.0.1:{place.plain};",
        "listen 443 ssl;": f"listen 127.0.0.1:{place.port} ssl;",
        "/etc/ssl/certs/data.example.org.pem": str(chain),
        "/etc/ssl/private/data.example.org.key": str(key),
    }


def _nginx(program: str, home: Path, place: Place) -> list[str]:
    del place
    (home / "nginx.conf").write_text(_NGINX.format(home=home))
    return [program, "-c", str(home / "nginx.conf"), "-e", str(home / "error.log")]


def _caddy_swaps(place: Place, chain: Path, key: Path) -> dict[str, str]:
    del place
    return {
        "# tls /etc/ssl/certs/data.example.org.pem": f"tls {chain}",
        "/etc/ssl/private/data.example.org.key": str(key),
    }


def _caddy(program: str, home: Path, place: Place) -> list[str]:
    site = (home / "site.conf").read_text()
    (home / "Caddyfile").write_text(_CADDY.format(home=home, port=place.port, plain=place.plain) + site)
    return [program, "run", "--config", str(home / "Caddyfile"), "--adapter", "caddyfile"]


def _apache_swaps(place: Place, chain: Path, key: Path) -> dict[str, str]:
    return {
        "<VirtualHost *:80>": f"<VirtualHost 127.0.0.1:{place.plain}>",
        "<VirtualHost *:443>": f"<VirtualHost 127.0.0.1:{place.port}>",
        "/etc/ssl/certs/data.example.org.pem": str(chain),
        "/etc/ssl/private/data.example.org.key": str(key),
    }


def _apache(program: str, home: Path, place: Place) -> list[str]:
    modules = "\n".join(
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so" for name in _MODULES.split()
    )
    user = "www-data" if os.geteuid() == 0 else home.owner()  # it does not serve as root
    (home / "apache.conf").write_text(
        _APACHE.format(home=home, port=place.port, plain=place.plain, modules=modules, user=user)
    )
    return [program, "-DFOREGROUND", "-f", str(home / "apache.conf")]


PROXIES = {
    proxy.name: proxy
    for proxy in (
        Proxy("nginx", "nginx", "nginx/caterva2.conf", "nginx/caterva2-prefix.conf", _nginx_swaps, _nginx),
        Proxy("caddy", "caddy", "caddy/Caddyfile", "caddy/Caddyfile.prefix", _caddy_swaps, _caddy),
        Proxy(
            "apache", "apache2", "apache/caterva2.conf", "apache/caterva2-prefix.conf", _apache_swaps, _apache
        ),
    )
}


@contextlib.contextmanager
def running_proxy(proxy: Proxy, home: Path, place: Place, *, prefix: bool) -> Iterator[Path]:
    """Run a web server with its file of ``contrib/``, and give the certificate of its authority."""
    program = proxy.find()
    assert program is not None
    home.mkdir()
    certificates = make_certificates(home)
    text = (CONTRIB / (proxy.prefixed if prefix else proxy.site)).read_text(encoding="utf-8")
    swaps = {
        "127.0.0.1:8002": place.upstream,
        **proxy.swaps(place, certificates.chain, certificates.key),
        "data.example.org": "localhost",
    }
    for wanted, found in swaps.items():
        assert wanted in text, f"{wanted} is not in the file of {proxy.name}"
        text = text.replace(wanted, found)
    (home / "site.conf").write_text(text)
    with (home / "output").open("wb") as output:
        process = subprocess.Popen(
            proxy.command(program, home, place),
            stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
            env={"HOME": str(home), "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"},
        )  # fmt: skip

    def listens() -> bool:
        logs = [file.read_text() for file in (home / "output", home / "error.log") if file.exists()]
        assert process.poll() is None, "".join(logs)
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", place.port), timeout=1):
            return True
        return False

    try:
        until(listens, f"{proxy.name} listens")
        yield certificates.authority
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
