"""Mail to users, by SMTP. Blocks; run it in the ``net`` lane."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage

from caterva2.config.schema import MailConfig

TIMEOUT_S = 20.0


class Mailer:
    """Sends mail through one server."""

    def __init__(self, config: MailConfig) -> None:
        self._config = config

    def send_reset(self, to: str, link: str) -> None:
        """Send a link to set a new password; raises `OSError` if that is not possible."""
        message = EmailMessage()
        message["Subject"] = "Set a new password"
        message["From"] = self._config.sender
        message["To"] = to
        message.set_content(
            "Somebody, probably you, wants to set a new password for your Caterva2 account.\n\n"
            f"{link}\n\nOr on a command line: cat2cli reset-password '{link}'\n\n"
            "The link is good for one hour. If you did not ask for it, there is nothing to do.\n"
        )
        config = self._config
        host, port = config.server.host, config.server.port
        if config.tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(
                host, port, timeout=TIMEOUT_S, context=ssl.create_default_context()
            )
        else:
            server = smtplib.SMTP(host, port, timeout=TIMEOUT_S)
        with server:
            if config.tls == "starttls":
                server.starttls(context=ssl.create_default_context())
            if config.username is not None and config.password is not None:
                server.login(config.username, config.password)
            server.send_message(message)
