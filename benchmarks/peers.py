"""Others that do the same work: a bare Tornado handler, and nginx with sendfile."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.network import HOST, Process, wait_until

BODY = bytes(range(200)) * 2

NGINX = """
daemon off; master_process off; worker_processes 1; pid {dir}/pid; error_log {dir}/error.log;
events {{ worker_connections 64; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_timeout 60; default_type application/octet-stream;
  client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c;
  uwsgi_temp_path {dir}/d; scgi_temp_path {dir}/e;
  server {{ listen {host}:{port}; root {root}; }}
}}
"""


def bare_tornado(directory: Path) -> Process:
    """Return the handler that answers 400 bytes and nothing more, not started yet."""
    announce = directory / "bare-tornado"
    return Process([sys.executable, "-m", "benchmarks.peers", str(announce)], announce, directory)


def nginx_program() -> str | None:
    return shutil.which("nginx") or next((p for p in ("/usr/sbin/nginx",) if os.access(p, os.X_OK)), None)


@contextlib.contextmanager
def nginx(program: str, root: Path) -> Iterator[str]:
    """Serve a directory with nginx; yield its base URL."""
    with tempfile.TemporaryDirectory() as text, contextlib.ExitStack() as stack:
        stack.callback(Path(text).chmod, 0o700)
        # nginx can not take port 0: ask for a free one, and hope that nobody else takes it meanwhile.
        with socket.create_server((HOST, 0)) as sock:
            port = sock.getsockname()[1]
        config = Path(text, "nginx.conf")
        user = "user root;" if os.getuid() == 0 else ""
        config.write_text(user + NGINX.format(dir=text, host=HOST, port=port, root=root))
        process = subprocess.Popen([program, "-c", str(config), "-e", f"{text}/error.log"])
        stack.callback(process.wait)
        stack.callback(process.terminate)
        url = f"http://{HOST}:{port}"

        def answers() -> bool:
            if process.poll() is not None:
                raise RuntimeError("nginx does not start")
            with contextlib.suppress(OSError):
                socket.create_connection((HOST, port)).close()
                return True
            return False

        wait_until(answers, "nginx to listen")
        yield url


async def main(announce: Path) -> None:
    from tornado.httpserver import HTTPServer
    from tornado.netutil import bind_sockets
    from tornado.web import Application, RequestHandler

    class Bare(RequestHandler):
        def get(self) -> None:
            self.set_header("Content-Type", "application/octet-stream")
            self.write(BODY)

    sockets = bind_sockets(0, HOST)
    server = HTTPServer(Application([("/bare", Bare)], log_function=lambda handler: None))
    server.add_sockets(sockets)
    beside = announce.with_suffix(".part")
    beside.write_text(f"{HOST}:{sockets[0].getsockname()[1]}\n")
    beside.replace(announce)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
