"""The server that takes our mail: what CONSENT_SMTP_URL says. It opens nothing, and never shows the password.

A password or a letter goes to another machine under TLS only, with a certificate that is checked: what the network can
switch off is no protection. On this machine itself it is plain.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit

Tls = Literal["implicit", "starttls", "none"]
PORTS: dict[Tls, int] = {"implicit": 465, "starttls": 587, "none": 25}


@dataclass(frozen=True, slots=True)
class Relay:
    """Where mail is handed over, as whom, and how the way there is protected."""

    host: str
    port: int
    tls: Tls
    user: str | None = None
    password: str | None = field(default=None, repr=False)

    @classmethod
    def parse(cls, text: str) -> Relay:
        """The relay of smtp://user:password@host:port or smtps://…; `?starttls=no` for a trusted network.

        Raises:
            ValueError: it is none; the text never quotes it.
        """
        message = "must be smtp://[user:password@]host[:port] or smtps://…, with ?starttls=no at most"
        try:
            parts = urlsplit(text)
            port, host = parts.port, parts.hostname
        except ValueError:
            raise ValueError(message) from None
        sound = parts.scheme in ("smtp", "smtps") and host and port != 0 and parts.path in ("", "/")
        if (
            not sound
            or parts.fragment
            or not text.isprintable()
            or " " in text
            or parts.query not in ("", "starttls=no")
        ):
            raise ValueError(message)
        if (parts.username is None) != (parts.password is None):
            raise ValueError(message)
        assert host is not None
        tls: Tls = "implicit" if parts.scheme == "smtps" else "starttls"
        if tls == "starttls" and (parts.query or _is_here(host)):
            tls = "none"
        user, password = (unquote(one) if one else None for one in (parts.username, parts.password))
        return cls(host, port or PORTS[tls], tls, user, password)


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
