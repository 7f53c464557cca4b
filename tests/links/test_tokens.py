"""What a link's token is: opaque, bound to its purpose, refused when one bit of it is another."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consent_service.links.model import PATHS, Link, LinkBox, Purpose

BOX = LinkBox(bytes(range(64)))
CUSTOMER = UUID("018f2f6e-5d1c-7c3b-9d5e-2f6a3c4b5d6e")
MINTED_AT = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)


def link(purpose: Purpose = "unsubscribe") -> Link:
    return Link(purpose, CUSTOMER, MINTED_AT, UUID(int=7), True, "de", "email", "offers/wine")


@given(
    st.sampled_from(list(PATHS)),
    st.uuids(),
    st.booleans(),
    st.sampled_from(["", "ar"]),
    st.from_regex(r"[a-z/]{0,40}", fullmatch=True),
)
def test_a_token_says_again_what_was_written(
    purpose: Purpose, customer: UUID, by_campaign: bool, locale: str, topic: str
) -> None:
    written = Link(purpose, customer, MINTED_AT, uuid4(), by_campaign, locale, "email", topic, uuid4())
    assert BOX.read(BOX.write(written), purpose) == written


def test_a_token_survives_mail_programs() -> None:
    token = BOX.write(link())
    assert re.fullmatch("[a-z2-7]+", token)
    assert BOX.read(token.upper(), "unsubscribe") == link()
    assert len(f"/u/{token}") < 150


def test_one_flipped_bit_anywhere_is_refused() -> None:
    token = BOX.write(link())
    for position, sign in enumerate(token):
        for bit in range(8):
            other = token[:position] + chr(ord(sign) ^ 1 << bit) + token[position + 1 :]
            assert BOX.read(other, "unsubscribe") is None, (position, bit)


def test_what_was_cut_or_lengthened_is_refused() -> None:
    token = BOX.write(link())
    for length in range(len(token)):
        assert BOX.read(token[:length], "unsubscribe") is None
    for more in ("a", "aa", "aaaaaaaa", "=", "\n", " "):
        assert BOX.read(token + more, "unsubscribe") is None
    assert BOX.read("a" * 100_000, "unsubscribe") is None


@pytest.mark.parametrize("purpose", PATHS)
def test_a_token_is_for_one_purpose(purpose: Purpose) -> None:
    token = BOX.write(link(purpose))
    assert [other for other in PATHS if BOX.read(token, other) is not None] == [purpose]


def test_a_token_of_another_key_is_refused() -> None:
    assert LinkBox(bytes(64)).read(BOX.write(link()), "unsubscribe") is None
