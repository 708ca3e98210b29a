"""Telling people by mail, through a server that takes mail for them."""

from __future__ import annotations

import os
import smtplib
import ssl
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from pathlib import Path
from urllib.parse import urlsplit

from quince.notify.failures import NotSent
from quince.notify.messages import Message
from quince.text import in_line, visible
from quince.workspace.receivers import Receiver, filled_in

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
"""What goes there does not leave this host."""
SUBJECT = 150
"""Characters of a subject."""


def tell(receiver: Receiver, message: Message, _folder: Path) -> None:
    """Hand it to the server. Its `Message-ID` names it: what comes twice has the same one.

    A connection to another host is encrypted if that offers it; nobody logs in on one that is not.

    Raises:
        NotSent: the server is not there, or does not take it.
        LacksVariable: a variable is not set.
    """
    where = urlsplit(filled_in(receiver.server, os.environ))
    host, safe = where.hostname or "localhost", where.scheme == "smtps"
    port = where.port or (465 if safe else 25)
    try:
        with _connected(host, port, receiver.timeout, safe=safe) as server:
            if receiver.user is not None:
                _log_in(server, host, receiver)
            server.send_message(mail_of(receiver, message), receiver.sender, list(receiver.mail))
    except smtplib.SMTPRecipientsRefused as error:
        raise NotSent(f"{host} does not take mail for {', '.join(error.recipients)}") from None
    except smtplib.SMTPResponseException as error:
        said = error.smtp_error.decode(errors="replace") if isinstance(error.smtp_error, bytes) else ""
        raise NotSent(f"{host} answered {error.smtp_code}: {in_line(said)}") from None
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(f"{host}:{port} takes no mail: {in_line(str(error) or type(error).__name__)}") from None


def mail_of(receiver: Receiver, message: Message) -> EmailMessage:
    """The mail: nothing that users say begins a header, or a line of the text, of its own."""
    mail = EmailMessage(policy=SMTP)
    mail["From"], mail["To"] = receiver.sender, ", ".join(receiver.mail)
    mail["Subject"] = in_line(f"Quince: {message.text}")[:SUBJECT]
    mail["Date"] = formatdate(localtime=True)
    mail["Message-ID"] = f"<{message.id}@{message.document.get('store', 'quince')}.quince>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(visible("\n".join([message.text, "", *message.details, ""])))
    return mail


def _connected(host: str, port: int, timeout: float, *, safe: bool) -> smtplib.SMTP:
    if safe:
        return smtplib.SMTP_SSL(host, port, timeout=timeout, context=ssl.create_default_context())
    server = smtplib.SMTP(host, port, timeout=timeout)
    try:
        server.ehlo_or_helo_if_needed()
        if server.has_extn("starttls") and host not in LOOPBACK:
            server.starttls(context=ssl.create_default_context())
            server.ehlo()
    except BaseException:
        server.close()
        raise
    return server


def _log_in(server: smtplib.SMTP, host: str, receiver: Receiver) -> None:
    if not isinstance(server.sock, ssl.SSLSocket) and host not in LOOPBACK:
        raise NotSent(f"{host} offers no encryption, and nobody logs in without")
    server.login(filled_in(receiver.user or "", os.environ), filled_in(receiver.password or "", os.environ))
