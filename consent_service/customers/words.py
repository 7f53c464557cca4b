"""How contact details are shown: always left to right, and masked where it may be somebody else who looks."""

from __future__ import annotations

from markupsafe import Markup

from consent_service.customers.model import EMAIL, PHONE, POSTAL, masked
from consent_service.i18n import N_, Words

_KINDS = {EMAIL: N_("E-mail"), PHONE: N_("Phone"), POSTAL: N_("Postal address")}


def kind_in_words(words: Words, kind: str) -> str:
    """What a kind of detail is called; one that the catalogue declares by its own name."""
    return words.gettext(_KINDS[kind]) if kind in _KINDS else kind


def value_in_words(reference: str, *, mask: bool = False) -> Markup:
    """The value of a `kind:value`."""
    kind, _, value = (masked(reference) if mask else reference).partition(":")
    direction = "ltr" if kind in (EMAIL, PHONE) else "auto"
    return Markup('<bdi dir="{}">{}</bdi>').format(direction, value)


def detail_in_words(words: Words, reference: str, *, mask: bool = False) -> Markup:
    """Kind and value."""
    kind = kind_in_words(words, reference.partition(":")[0])
    return Markup("{}: {}").format(kind, value_in_words(reference, mask=mask))
