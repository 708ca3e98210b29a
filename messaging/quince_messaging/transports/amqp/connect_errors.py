"""What to tell somebody who cannot connect: what happened, and what to check."""

from __future__ import annotations

import ssl

import aiormq
from pamqp import commands
from pamqp.exceptions import AMQPInternalError

from quince_messaging.uri import BrokerUri

_NOT_AMQP = "the answer is not AMQP"


def advice(uri: BrokerUri, error: BaseException, dial_timeout: float) -> str:
    """One sentence: the URI without its password, what the broker or the system said, the way out."""
    text = _told(error)
    check = _about_tls(uri, error, text) or _about_the_rest(error, text, dial_timeout)
    return f"cannot connect to the broker at {uri.shown} ({text}): {check}"


def _about_tls(uri: BrokerUri, error: BaseException, text: str) -> str | None:
    lowered = text.lower()
    if "is not valid for" in lowered:
        return "use the host name that the broker's TLS certificate is for"
    if "certificate verify failed" in lowered:
        return "name the authority that signed the broker's TLS certificate, with ?cafile=authority.pem"
    if isinstance(error, ssl.SSLError) or "ssl" in lowered or "certificate" in lowered:
        return "check the TLS options (cafile, certfile, keyfile) and that the port speaks TLS"
    if isinstance(error, FileNotFoundError | PermissionError):
        return "check that the files of the TLS options (cafile, certfile, keyfile) are there and can be read"
    if uri.scheme == "amqps" and "reset" in lowered:
        return "it hung up after the TLS handshake: check that it trusts our certificate (certfile, keyfile)"
    if uri.scheme == "amqp" and text == _NOT_AMQP:
        return "check that a broker listens there; if it listens with TLS, write amqps://"
    return None


def _about_the_rest(error: BaseException, text: str, dial_timeout: float) -> str:
    if isinstance(error, aiormq.exceptions.AuthenticationError | aiormq.ProbableAuthenticationError):
        return "check the user name and the password"
    if isinstance(error, aiormq.exceptions.ConnectionNotAllowed) or "vhost" in text.lower():
        return "check that the virtual host exists and that the user may use it"
    if isinstance(error, TimeoutError):
        return f"nothing answered within {dial_timeout:g} s; check host and port"
    return "check that the broker runs there, and host and port"


def _told(error: BaseException) -> str:
    """What the broker or the system said, in one line."""
    for part in error.args:
        if isinstance(part, commands.Connection.Close):
            return str(part.reply_text)
    if isinstance(error, AMQPInternalError):
        return _NOT_AMQP
    return " ".join((str(error) or type(error).__name__).split())
