"""Names of customers: what a customer reference is and when two of them are the same. No I/O.

A reference is `kind:value`. Its value is brought to one normal form here, and only that form is hashed,
stored or compared: so every spelling finds the same customer. Errors never quote a value: it may be a name.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from uuid import UUID

import email_validator
import phonenumbers

from consent_service.errors import ConsentError

ID = "id"
EMAIL = "email"
PHONE = "phone"
POSTAL = "postal"
# Kinds that need no catalogue, and whether several customers may hold one.
BUILT_IN_KINDS = {EMAIL: False, PHONE: False, POSTAL: True}

LONGEST_REFERENCE = 400
LONGEST_KIND = 64
LONGEST_VALUE = 200
LONGEST_EMAIL = 254
LONGEST_PHONE = 40
MOST_IDENTIFIERS = 20  # of one request
MOST_IDENTIFIERS_OF_ONE = 200

# What a customer has besides names.
FIELDS = ("time_zone", "locale", "segment")
LONGEST_LOCALE = 35

SUPPRESSION_KINDS = ("marketing", "all")
LONGEST_REASON = 500

# A name is no promise that mail arrives: people test with .test, .invalid and .local (RFC 6761), and whoever
# is refused a name here could not be suppressed either.
email_validator.SPECIAL_USE_DOMAIN_NAMES.clear()

_ATOM = r"[a-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PLAIN_EMAIL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*@(?:{_LABEL}\.)+(?:[a-z0-9][a-z0-9-]{{0,61}})?[a-z]")
# Control characters, halves of surrogate pairs, line and paragraph separators.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]")
# Digits with what people put between them; no letters, no extensions.
_PHONE = re.compile(r"\+[\d ().\-/\u2010-\u2015\u2212]+")
# British mobiles that nobody has, kept free for stories and tests (Ofcom). The library calls them invalid.
_FICTION = re.compile(r"\+447700900\d{3}")


@dataclass(frozen=True, slots=True)
class Reference:
    """A well-formed reference in its normal form; two are equal when they name the same."""

    kind: str
    value: str = field(repr=False)

    @property
    def text(self) -> str:
        """`kind:value`, as the contract writes it."""
        return f"{self.kind}:{self.value}"

    @property
    def customer_id(self) -> UUID | None:
        """The id in an `id:` reference; None for an identifier."""
        return UUID(self.value) if self.kind == ID else None


def parse_reference(text: object) -> Reference:
    """The reference in text. Whether its kind is declared is the catalogue's to say, not this function's.

    Raises:
        ConsentError: invalid_customer_reference.
    """
    if not isinstance(text, str):
        raise not_a_string()
    kind, colon, value = text.partition(":")
    if not colon or len(text) > LONGEST_REFERENCE:
        raise _invalid("A customer reference is kind:value, as email:ann@example.com.")
    kind, value = kind.lstrip(" "), value.strip(" ")
    if kind == EMAIL:
        return Reference(EMAIL, normal_email(value))
    if not 1 <= len(kind) <= LONGEST_KIND or " " in kind or _UNPRINTABLE.search(text):
        raise _invalid("A customer reference is kind:value, as email:ann@example.com.")
    if kind == PHONE:
        return Reference(PHONE, _normal_phone(value))
    if kind == ID:
        return Reference(ID, _normal_id(value))
    return Reference(kind, _normal_text(value))


def normal_email(text: str) -> str:
    """The address in lower case, NFC, its domain as IDNA A-labels; dots and +tags stay.

    Raises:
        ConsentError: invalid_customer_reference.
    """
    if text.isascii() and len(text) <= LONGEST_EMAIL:
        plain = text.lower()
        # The kept library says the same of these (a test holds the two together), at ten times the price.
        if _PLAIN_EMAIL.fullmatch(plain) and "--" not in plain:
            return plain
    return library_email(text)


def library_email(text: str) -> str:
    """What normal_email answers, by the kept library alone."""
    if _UNPRINTABLE.search(text):
        raise _invalid("The e-mail address is not well formed.")
    try:
        found = email_validator.validate_email(text.strip(), check_deliverability=False)
    except (email_validator.EmailNotValidError, UnicodeError) as error:
        raise _invalid("The e-mail address is not well formed.") from error
    # Lower case writes a final sigma or not by what stands around it: one form for both.
    local = unicodedata.normalize("NFC", found.local_part.lower().replace("ς", "σ"))
    return f"{local}@{found.ascii_domain}"


def _normal_phone(text: str) -> str:
    text = unicodedata.normalize("NFKC", text).strip()
    if len(text) > LONGEST_PHONE or not _PHONE.fullmatch(text):
        raise _invalid("A phone number is in international form, as +44 20 7183 8750.")
    try:
        number = phonenumbers.parse(text)
    except phonenumbers.NumberParseException as error:
        raise _invalid("A phone number is in international form, as +44 20 7183 8750.") from error
    normal = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    if not phonenumbers.is_valid_number(number) and not _FICTION.fullmatch(normal):
        raise _invalid("There is no such phone number.")
    return normal


def _normal_id(text: str) -> str:
    try:
        found = str(UUID(text))
    except ValueError as error:
        raise _invalid("An id: reference holds a customer's id.") from error
    if found != text.lower():
        raise _invalid("An id: reference holds a customer's id.")
    return found


def _normal_text(text: str) -> str:
    text = unicodedata.normalize("NFC", text).strip()
    if not 1 <= len(text) <= LONGEST_VALUE:
        raise _invalid(f"An identifier has 1 to {LONGEST_VALUE} characters.")
    return text


def masked(reference: str) -> str:
    """A `kind:value` of which its owner knows it again and nobody else learns it: `email:an…@example.com`."""
    kind, _, value = reference.partition(":")
    if kind == EMAIL:
        local, _, domain = value.rpartition("@")
        return f"{kind}:{local[: 2 if len(local) > 3 else 1]}…@{domain}"
    if kind == PHONE:
        return f"{kind}:{value[:3]}…{value[-2:]}"
    return f"{kind}:{value[:1]}…"


def not_a_string() -> ConsentError:
    """What a number, null or an object gets where a reference belongs."""
    return _invalid("A customer reference is a string, kind:value.")


def _invalid(detail: str) -> ConsentError:
    return ConsentError("invalid_customer_reference", detail)
