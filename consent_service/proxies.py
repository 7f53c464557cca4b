"""Whose word is taken for where a request comes from. No I/O.

`X-Forwarded-For` and `X-Forwarded-Proto` are what the caller says. They are heeded only when the operator has
named the peer that hands them over, and then only as far back as peers are named; of everybody else they are
as if they were not there. No other header of that kind is ever heeded.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

UNIX = "unix"
MOST_HOPS = 32
# One customer of a provider has at least so many bits to choose addresses from (RFC 6177).
IPV6_PREFIX = 64
_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]{2,45})\]|(\d{1,3}(?:\.\d{1,3}){3}))(?::\d{1,5})?")


@dataclass(frozen=True)
class Proxies:
    """The peers that are trusted to say whom they speak for.

    Args:
        unix: whoever reaches the service through a unix socket; who that can be is the socket's mode to say.
    """

    networks: tuple[Network, ...] = ()
    unix: bool = False

    @classmethod
    def parse(cls, text: str) -> Proxies:
        """The peers in `10.0.0.0/8, ::1, unix`.

        Raises:
            ValueError: the text goes on after the name of a setting.
        """
        words = [word.strip() for word in text.split(",")]
        try:
            networks = tuple(ipaddress.ip_network(word) for word in words if word != UNIX)
        except ValueError:
            raise ValueError("must be addresses and networks as 10.0.0.0/8, or unix, with commas between") from None
        if any(network.prefixlen == 0 for network in networks):
            raise ValueError("trusts everybody: name the addresses of the proxies")
        return cls(networks, UNIX in words)

    def trusts(self, peer: str) -> bool:
        """True for a peer that was named; "" is a unix socket's."""
        if not peer:
            return self.unix
        address = read_address(peer)
        return address is not None and self._contains(address)

    def client(self, peer: str, forwarded_for: str | None) -> str:
        """The address to count by: the nearest hop that is no trusted proxy, or the peer.

        Args:
            peer: address of the other end of the connection; "" for a unix socket.
            forwarded_for: the header as it came, if any.
        """
        found = peer
        if forwarded_for is not None and self.trusts(peer):
            for hop in reversed(forwarded_for.rsplit(",", MOST_HOPS)[-MOST_HOPS:]):
                address = read_address(hop.strip())
                if address is None:
                    break  # what stands left of it was not said by anybody we trust
                found = str(address)
                if not self._contains(address):
                    break
        return _counted(found)

    def _contains(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


def read_address(text: str) -> Address | None:
    """The address in text, with or without a port; an IPv4 one in IPv6 clothes is that IPv4 one."""
    match = _WITH_PORT.fullmatch(text)
    try:
        address = ipaddress.ip_address((match[1] or match[2]) if match else text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _counted(peer: str) -> str:
    """An IPv6 client stands for its whole network, or it would have an address for each request."""
    address = read_address(peer)
    if isinstance(address, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(address), IPV6_PREFIX), strict=False))
    return str(address) if address is not None else peer or UNIX
