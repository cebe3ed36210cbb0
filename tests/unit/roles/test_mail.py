"""Reset links by mail: real SMTP conversations with a server of the test's own, plain and encrypted."""

from __future__ import annotations

import base64
import contextlib
import io
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from email import message_from_string
from pathlib import Path

import pytest

from caterva2.config.schema import MailConfig
from caterva2.config.units import Address
from caterva2.roles.subscriber.mail import Mailer
from tests.support.certificates import Certificates, make_certificates

LINK = "http://localhost:8002/reset-password/t0ken"


class Post:
    """Takes one mail.

    Parameters
    ----------
    tls
        As the setting; what the server offers.
    """

    def __init__(self, tls: str = "none", certificates: Certificates | None = None) -> None:
        self._sock = socket.create_server(("127.0.0.1", 0))
        self._tls = tls
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        if certificates is not None:
            self._context.load_cert_chain(certificates.chain, certificates.key)
        self.port = self._sock.getsockname()[1]
        self.said: list[str] = []
        self.encrypted: list[str] = []
        self.plain: list[str] = []
        self.mail = ""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def config(self, tls: str, host: str = "localhost", **more: str) -> MailConfig:
        return MailConfig(server=Address(host, self.port), sender="cat@example.org", tls=tls, **more)

    def _serve(self) -> None:
        with contextlib.suppress(OSError):  # a client that does not trust us hangs up
            connection, _ = self._sock.accept()
            connection.settimeout(20)
            with contextlib.closing(self._wrapped(connection) if self._tls == "tls" else connection) as sock:
                self._talk(sock, "220 ready\r\n")

    def _wrapped(self, connection: socket.socket) -> ssl.SSLSocket:
        return self._context.wrap_socket(connection, server_side=True)

    def _talk(self, sock: socket.socket, greeting: str) -> None:
        sock.sendall(greeting.encode())
        talk = sock.makefile("r", newline="")
        for line in talk:
            self.said.append(line.strip())
            (self.encrypted if isinstance(sock, ssl.SSLSocket) else self.plain).append(line.strip())
            verb = line[:4].upper()
            if verb == "STAR":
                sock.sendall(b"220 go on\r\n")
                with contextlib.closing(self._wrapped(sock)) as secret:
                    self._talk(secret, "")
                return
            if verb == "EHLO":
                offers = ["fine", "AUTH PLAIN", *(["STARTTLS"] if self._tls == "starttls" else [])]
                sock.sendall("".join(f"250{' ' if o is offers[-1] else '-'}{o}\r\n" for o in offers).encode())
            elif verb == "DATA":
                sock.sendall(b"354 go on\r\n")
                self._take(talk)
                sock.sendall(b"250 taken\r\n")
            elif verb == "AUTH":
                sock.sendall(b"235 welcome\r\n")
            elif verb == "QUIT":
                sock.sendall(b"221 bye\r\n")
                break
            else:
                sock.sendall(b"250 fine\r\n")

    def _take(self, talk: io.TextIOWrapper) -> None:
        for line in talk:
            if line == ".\r\n":
                return
            self.mail += line

    def close(self) -> None:
        self._sock.close()
        self._thread.join(20)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def trusted(certificates: Certificates, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the authority be one that the system knows."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))


@pytest.fixture
def post(certificates: Certificates) -> Iterator[Callable[[str], Post]]:
    with contextlib.ExitStack() as stack:

        def start(tls: str) -> Post:
            return stack.enter_context(contextlib.closing(Post(tls, certificates)))

        yield start


def test_link_reaches_the_user(post: Callable[[str], Post]) -> None:
    server = post("none")

    Mailer(server.config("none")).send_reset("ada@example.org", LINK)

    message = message_from_string(server.mail)
    assert (message["From"], message["To"]) == ("cat@example.org", "ada@example.org")
    assert LINK in message.get_payload()
    assert "rcpt to:<ada@example.org>" in [line.lower() for line in server.said]


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_link_and_password_travel_encrypted(post: Callable[[str], Post], tls: str) -> None:
    server = post(tls)

    Mailer(server.config(tls, username="cat", password="secret")).send_reset("ada@example.org", LINK)

    assert LINK in message_from_string(server.mail).get_payload()
    login = base64.b64encode(b"\0cat\0secret").decode()
    assert f"AUTH PLAIN {login}" in server.encrypted
    assert [line[:4].upper() for line in server.plain] == (["EHLO", "STAR"] if tls == "starttls" else [])


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_certificate_of_an_unknown_authority_is_refused(post: Callable[[str], Post], tls: str) -> None:
    server = post(tls)

    with pytest.raises(ssl.SSLCertVerificationError):
        Mailer(server.config(tls)).send_reset("ada@example.org", LINK)

    assert server.mail == ""


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_certificate_for_another_name_is_refused(
    tls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = make_certificates(tmp_path, "DNS:elsewhere.example.org")
    monkeypatch.setenv("SSL_CERT_FILE", str(other.authority))

    with contextlib.closing(Post(tls, other)) as server:
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            Mailer(server.config(tls)).send_reset("ada@example.org", LINK)

        assert server.mail == ""


@pytest.mark.usefixtures("trusted")
def test_server_without_starttls_gets_no_mail(post: Callable[[str], Post]) -> None:
    server = post("none")

    with pytest.raises(smtplib.SMTPNotSupportedError):
        Mailer(server.config("starttls")).send_reset("ada@example.org", LINK)

    assert server.mail == ""
