"""What a customer reference is, and when two are the same."""

from __future__ import annotations

import unicodedata
from uuid import uuid4

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from consent_service.customers import model
from consent_service.customers.ids import decode_id, encode_id
from consent_service.customers.model import library_email, normal_email, parse_reference
from consent_service.errors import ConsentError

SAME = [
    ("email:ben@x.com", "email:Ben@X.com", "email: ben@x.com ", " email:ben@x.com", "email:ben@X.COM"),
    (
        "email:ben@xn--exmple-cua.com",
        "email:ben@exämple.com",
        "email:BEN@EXÄMPLE.com",
        "email:ben@XN--EXMPLE-CUA.COM",
    ),
    ("email:josé@x.com", "email:" + unicodedata.normalize("NFD", "josé@x.com"), "email:JOSÉ@x.com"),
    ("email:ben@xn--exmple-cua.com", "email:" + unicodedata.normalize("NFD", "ben@exämple.com")),
    ("email:οδοσ.α@x.gr", "email:ΟΔΟΣ.Α@x.gr", "email:οδος.α@x.gr"),
    (
        "phone:+442071838750",
        "phone:+44 20 7183 8750",
        "phone:+44 (0)20 7183-8750",
        "phone: +44.20.7183.8750 ",
    ),
    ("phone:+447700900123", "phone:+44 7700 900123"),
    ("postal:1 Café Row", "postal:" + unicodedata.normalize("NFD", "1 Café Row"), "postal:  1 Café Row  "),
    ("loyalty:634004", "loyalty: 634004"),
]
DIFFERENT = [
    ("email:ann.b@x.com", "email:annb@x.com"),
    ("email:ann+news@x.com", "email:ann@x.com"),
    ("loyalty:abc", "loyalty:ABC"),
    ("loyalty:0634", "loyalty:634"),
    ("postal:1 Main  St", "postal:1 Main St"),
    ("loyalty:1", "household:1"),
]
ILL_FORMED = [
    "",
    "ann@example.com",
    ":bob@example.org",
    "email:",
    "email:ann",
    "email:ann@localhost",
    "email:a@x.com\r\nBcc: b@x.com",
    "email:a@x.com\n",
    "email:a@x.com,b@x.com",
    "email:a@x.com b@x.com",
    "email:Ann <a@x.com>",
    "email:<a@x.com>",
    'email:"a b"@x.com',
    "email:a@[127.0.0.1]",
    "email:a@x..com",
    "email:.a@x.com",
    "email:a@-x.com",
    "email:a@x.c0",
    "email:" + "a" * 314 + "@x.com",
    "email:a@" + "b" * 64 + ".com",
    "email:a\x00@x.com",
    "email:\ud800@x.com",
    "phone:",
    "phone:+44",
    "phone:+44 20 718",
    "phone:+4930",
    "phone:+1 800 FLOWERS",
    "phone:020 7183 8750",
    "phone:442071838750",
    "phone:+442071838750 ext. 5",
    "phone:+44207183875000000000",
    "phone:+442071838750\n",
    "loyalty:",
    "loyalty:   ",
    "loyalty:" + "1" * 201,
    "loyalty:a\tb",
    "loyalty:a\nb",
    "loyalty:a\x85b",
    "loyalty:a\u2028b",
    "loyalty:a\ud800b",
    "id:",
    "id:1",
    "id:0199a3f26c1e7b508d2a4f9f0c7e1a35",
    "id:{0199a3f2-6c1e-7b50-8d2a-4f9f0c7e1a35}",
    "two words:1",
    "k" * 65 + ":1",
    None,
    7,
    True,
    ["email:ann@example.com"],
    {"email": "ann@example.com"},
]


@pytest.mark.parametrize("spellings", SAME, ids=lambda one: ascii(one[0]))
def test_every_spelling_of_a_name_is_the_same_reference(spellings: tuple[str, ...]) -> None:
    assert [parse_reference(one).text for one in spellings] == [spellings[0]] * len(spellings)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_dots_tags_case_and_zeros_that_mean_something_stay(one: str, other: str) -> None:
    assert parse_reference(one) != parse_reference(other)


@pytest.mark.parametrize("text", ILL_FORMED, ids=lambda one: ascii(one)[:40])
def test_an_ill_formed_reference_is_refused_without_quoting_it(text: object) -> None:
    with pytest.raises(ConsentError) as refused:
        parse_reference(text)
    assert refused.value.code == "invalid_customer_reference"
    value = str(text).partition(":")[2].strip()
    assert len(value) < 4 or value not in str(refused.value)


@pytest.mark.parametrize("domain", ["x.test", "x.invalid", "x.example", "example.com", "x.local", "x.localhost"])
def test_domains_kept_for_tests_are_names_like_others(domain: str) -> None:
    assert parse_reference(f"email:Ann@{domain.upper()}").value == f"ann@{domain}"


def test_an_id_reference_carries_the_customers_id() -> None:
    one = uuid4()
    assert parse_reference(f"id:{str(one).upper()}").customer_id == one
    assert parse_reference("loyalty:1").customer_id is None


def test_a_reference_does_not_show_its_value_in_a_traceback() -> None:
    assert "ann" not in repr(parse_reference("email:ann@example.com"))


ascii_addresses = st.builds(
    "{}@{}".format,
    st.text("aAzZ09.-+_!#$%&'*/=?^`{|}~\" ,;:<>()[]\\@\x00\t\n", max_size=12) | st.text("abcD.+-", max_size=260),
    st.text("aAzZ09.-_ [:]xnXN\n", max_size=20)
    | st.lists(st.text("abXn0-", min_size=1, max_size=70), min_size=1, max_size=5).map(".".join)
    | st.sampled_from(["example.com", "x.test", "test", "localhost", "a.c0m", "xn--a.com", "ab--cd.com", "1.2.3.4"]),
)


@settings(max_examples=800, deadline=None)
@given(ascii_addresses | st.emails() | st.text(max_size=30))
@example("a@" + ".".join(["b" * 63] * 3) + ".com")
@example("a" * 64 + "@" + ".".join(["b" * 61] * 3) + ".co")
@example("a" * 64 + "@" + ".".join(["b" * 61] * 3) + ".com")
@example("info@x.com")
@example("a@xn--exmple-cua.com")
@example("a@\u212a.com")
def test_the_short_path_for_addresses_answers_as_the_library_does(text: str) -> None:
    assert _answer(normal_email, text) == _answer(library_email, text)


def test_the_short_path_is_taken_by_plain_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    def library(text: str) -> str:
        raise AssertionError(f"the library was asked about {text}")

    monkeypatch.setattr(model, "library_email", library)
    for plain in ("ann@example.com", "Ann.O'Neil+news@mail.example-shop.co.uk", "x_1@a.io"):
        assert normal_email(plain) == plain.lower()


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(["email", "phone", "postal", "loyalty"]), st.text(max_size=40) | st.emails())
def test_a_normal_form_is_its_own_normal_form(kind: str, value: str) -> None:
    try:
        once = parse_reference(f"{kind}:{value}")
    except ConsentError as error:
        assert error.code == "invalid_customer_reference"  # noqa: PT017 - any other error is a failure
        return
    assert parse_reference(once.text) == once


@given(st.uuids(), st.uuids())
def test_an_id_for_urls_leads_back_to_both_ids(customer_id: object, own_id: object) -> None:
    text = encode_id(customer_id, own_id)
    assert len(text) == 43
    assert decode_id(text) == (customer_id, own_id)


@settings(max_examples=200)
@given(st.text("ABCabc019-_=+/ \n", min_size=40, max_size=45) | st.text(max_size=50) | st.none() | st.integers())
@example("A" * 42 + "B")
def test_only_the_canonical_form_of_an_id_is_read(text: object) -> None:
    found = decode_id(text)
    assert found is None or encode_id(*found) == text


def _answer(normalise: object, text: str) -> str:
    try:
        return str(normalise(text))
    except ConsentError as error:
        return error.code
