"""Whose word is taken for where a request comes from."""

from __future__ import annotations

import pytest

from consent_service.proxies import Proxies

INSIDE = Proxies.parse("127.0.0.1, 10.0.0.0/8, 2001:db8:ffff::/48")


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "client"),
    [
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "203.0.113.7", "203.0.113.7"),
        # The right-most hop that is none of ours: what stands left of it is the client's own invention.
        ("127.0.0.1", "198.51.100.1, 203.0.113.7", "203.0.113.7"),
        ("127.0.0.1", "198.51.100.1, 203.0.113.7, 10.1.2.3", "203.0.113.7"),
        ("127.0.0.1", "10.9.9.9, 10.1.2.3", "10.9.9.9"),
        ("127.0.0.1", "203.0.113.7:51413", "203.0.113.7"),
        ("127.0.0.1", " 203.0.113.7\t", "203.0.113.7"),
        ("::ffff:127.0.0.1", "::ffff:203.0.113.7", "203.0.113.7"),
        # An IPv6 client is its network, however many addresses it takes in it.
        ("127.0.0.1", "2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"),
        ("127.0.0.1", "[2001:db8:1:2:bbbb::2]:443", "2001:db8:1:2::/64"),
        ("2001:db8:ffff::1", "203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2::5", None, "2001:db8:1:2::/64"),
        # What is no address ends the walk at the last one that was said by somebody trusted.
        ("127.0.0.1", "", "127.0.0.1"),
        ("127.0.0.1", "unknown", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.7, unknown, 10.1.2.3", "10.1.2.3"),
        ("127.0.0.1", "203.0.113.7,", "127.0.0.1"),
        ("127.0.0.1", "_hidden", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.7.5", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.7%eth0\r\nx", "127.0.0.1"),
        ("127.0.0.1", "٢٠٣.0.113.7", "127.0.0.1"),
        # Nobody else is believed.
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),
        ("203.0.113.9", "127.0.0.1", "203.0.113.9"),
        ("", "198.51.100.1", "unix"),
        ("nonsense", "198.51.100.1", "nonsense"),
    ],
)
def test_the_client_is_the_nearest_hop_that_is_no_proxy_of_ours(peer: str, forwarded_for: str, client: str) -> None:
    assert INSIDE.client(peer, forwarded_for) == client


def test_a_unix_socket_is_believed_when_it_is_named() -> None:
    assert Proxies.parse("unix").client("", "198.51.100.1") == "198.51.100.1"
    assert Proxies.parse("unix").client("127.0.0.1", "198.51.100.1") == "127.0.0.1"
    assert Proxies.parse("127.0.0.1").client("", "198.51.100.1") == "unix"


def test_nobody_is_believed_unless_named() -> None:
    for peer in ("127.0.0.1", "::1", ""):
        assert Proxies().client(peer, "198.51.100.1") == Proxies().client(peer, None)


def test_a_header_without_end_is_followed_for_a_while() -> None:
    hops = ", ".join(["198.51.100.1"] + ["10.0.0.1"] * 2000)
    assert INSIDE.client("127.0.0.1", hops) == "10.0.0.1"


@pytest.mark.parametrize(
    "text",
    ["localhost", "10.0.0.1/8", "0.0.0.0/0", "::/0", "10.0.0.0/33", "10.0.0.1,", "unix:/run/x", "*", "1", "Unix"],
)
def test_a_setting_that_names_no_peers_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^(must be|trusts everybody)"):
        Proxies.parse(text)
