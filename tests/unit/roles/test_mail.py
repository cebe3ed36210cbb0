"""Reset links by mail: a real SMTP conversation with a server of the test's own."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from email import message_from_string

import pytest

from caterva2.config.schema import MailConfig
from caterva2.config.units import Address
from caterva2.roles.subscriber.mail import Mailer


class Post:
    """Takes one mail."""

    def __init__(self) -> None:
        self._sock = socket.create_server(("127.0.0.1", 0))
        self.address = Address("127.0.0.1", self._sock.getsockname()[1])
        self.said: list[str] = []
        self.mail = ""
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        connection, _ = self._sock.accept()
        with connection, connection.makefile("rw", newline="") as talk:

            def answer(text: str) -> None:
                talk.write(f"{text}\r\n")
                talk.flush()

            answer("220 ready")
            for line in talk:
                self.said.append(line.strip())
                if line.upper().startswith("DATA"):
                    answer("354 go on")
                    lines = []
                    for part in talk:
                        if part == ".\r\n":
                            break
                        lines.append(part)
                    self.mail = "".join(lines)
                    answer("250 taken")
                elif line.upper().startswith("QUIT"):
                    answer("221 bye")
                    return
                else:
                    answer("250 fine")

    def close(self) -> None:
        self._thread.join(20)
        self._sock.close()


@pytest.fixture
def post() -> Iterator[Post]:
    server = Post()
    yield server
    server.close()


def test_link_reaches_the_user(post: Post) -> None:
    config = MailConfig(server=post.address, sender="cat@example.org", tls="none")

    Mailer(config).send_reset("ada@example.org", "http://localhost:8002/reset-password/t0ken")

    message = message_from_string(post.mail)
    assert (message["From"], message["To"]) == ("cat@example.org", "ada@example.org")
    assert "http://localhost:8002/reset-password/t0ken" in message.get_payload()
    assert "RCPT TO:<ada@example.org>" in [
        line.upper().replace("ADA@EXAMPLE.ORG", "ada@example.org") for line in post.said
    ]
