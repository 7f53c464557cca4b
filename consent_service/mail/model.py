"""A letter: what is said to whom in which language, and how it is written down as a message. No network, no database.

Letters never carry anything that tracks: no picture, no link but the one they are for. They say that a machine wrote
them, so that no holiday note answers. Source: RFC 5322, RFC 3834, section 5 (Auto-Submitted).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from functools import cache
from typing import Any, Literal
from uuid import UUID

import orjson
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from consent_service.i18n import N_, Words, words

Kind = Literal["link", "confirm", "address"]
# The subject of each kind, and the values that its templates need.
SUBJECTS: Mapping[Kind, str] = {
    "link": N_("Your preferences: the link that you asked for"),
    "confirm": N_("Please confirm: you asked to hear more"),
    "address": N_("Please confirm your e-mail address"),
}
NEEDED: Mapping[Kind, frozenset[str]] = {
    "link": frozenset({"url"}),
    "confirm": frozenset({"url", "what", "until"}),
    "address": frozenset({"url", "until"}),
}
LONGEST_URL = 4096


@dataclass(frozen=True, slots=True)
class Letter:
    """One letter.

    Args:
        kind: which templates write it.
        locale: a locale of ours.
        to: the address, in its normal form.
        values: what the templates fill in; JSON. `url` is a whole one, or a path of ours. `until` is a time in
            RFC 3339. `what` of a confirmation is a list of sentences, in the language of the letter.
        time_zone: in which times are written.

    Raises:
        ValueError: a value is missing, or there is one that no template uses.
    """

    kind: Kind
    locale: str
    to: str = field(repr=False)
    values: Mapping[str, Any] = field(repr=False)
    time_zone: str = "UTC"

    def __post_init__(self) -> None:
        if self.values.keys() != NEEDED[self.kind] or len(self.values["url"]) > LONGEST_URL:
            raise ValueError(f"a letter of kind {self.kind} needs exactly {sorted(NEEDED[self.kind])}")

    def packed(self) -> bytes:
        """The letter as it is sealed."""
        return orjson.dumps(
            {
                "kind": self.kind,
                "locale": self.locale,
                "to": self.to,
                "values": dict(self.values),
                "time_zone": self.time_zone,
            }
        )

    @classmethod
    def unpacked(cls, content: bytes) -> Letter:
        """The letter that was packed."""
        return cls(**orjson.loads(content))


def message(letter: Letter, mail_id: UUID, *, sender: str, public_url: str) -> EmailMessage:
    """The message: text and HTML of the same words. Every copy of a mail has the same Message-ID.

    Args:
        sender: From, as `Name <address>` or an address.
        public_url: base of the links.
    """
    spoken = words(letter.locale, letter.time_zone)
    url = letter.values["url"]
    values = {**letter.values, "url": f"{public_url}{url}" if url.startswith("/") else url}
    if "until" in values:
        values["until"] = datetime.fromisoformat(values["until"])
    name, address = parseaddr(sender)
    local, _, domain = letter.to.rpartition("@")
    made = EmailMessage(policy=SMTP)
    made["From"] = Address(name, addr_spec=address)
    made["To"] = Address(username=local, domain=domain)
    made["Subject"] = spoken.gettext(SUBJECTS[letter.kind])
    made["Date"] = format_datetime(datetime.now(UTC))
    made["Message-ID"] = f"<{mail_id.hex}@{address.rpartition('@')[2]}>"
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(_written(f"{letter.kind}.txt", spoken, values))
    made.add_alternative(_written(f"{letter.kind}.html", spoken, values), subtype="html")
    made["Content-Language"] = letter.locale
    return made


def _written(template: str, spoken: Words, values: Mapping[str, Any]) -> str:
    return (
        _environment()
        .get_template(f"mail/{template}")
        .render({**values, "words": spoken, "_": spoken.gettext, "ngettext": spoken.ngettext})
    )


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("consent_service.mail"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
