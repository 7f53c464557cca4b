"""Cryptography of the service: how keys derive, wrap and seal. No I/O.

The root secret never encrypts anything: HKDF makes a wrapping key of it, and that wraps one random data key
per customer (and one for the service itself). Turning the root secret therefore re-wraps keys and leaves
hashes and ciphertexts as they are. A wrapped key names the secret that wraps it by `secret_id`.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from functools import cached_property
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from itsdangerous import BadData, URLSafeSerializer, URLSafeTimedSerializer
from itsdangerous.encoding import base64_decode, base64_encode

NOBODY = UUID(int=0)
NONCE_BYTES = 12


def derive(secret: bytes, purpose: str) -> bytes:
    """32 bytes for one purpose. Source: RFC 5869 with SHA-256, no salt."""
    return HKDF(SHA256(), 32, None, b"consent-service/v1/" + purpose.encode()).derive(secret)


def is_as_signed(text: str) -> bool:
    """False for another spelling of a signed text: the last character of a signature has bits to spare."""
    signature = text.rpartition(".")[2]
    try:
        return base64_encode(base64_decode(signature)).decode("ascii") == signature
    except BadData:
        return False


@dataclass(frozen=True)
class RootSecret:
    """One value of CONSENT_SECRET_KEY."""

    secret: bytes = field(repr=False)

    @cached_property
    def secret_id(self) -> str:
        """Names the secret without telling anything of it."""
        return derive(self.secret, "secret-id")[:8].hex()

    @cached_property
    def _wrapping(self) -> AESGCM:
        return AESGCM(derive(self.secret, "wrap"))

    def wrap(self, owner: UUID, key: bytes) -> bytes:
        """The data key as it may be stored, bound to its owner."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._wrapping.encrypt(nonce, key, owner.bytes)

    def unwrap(self, owner: UUID, wrapped: bytes) -> bytes:
        """The data key. Raises: InvalidTag when this secret did not wrap it for this owner."""
        return self._wrapping.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], owner.bytes)


class DataKey:
    """A customer's key: seals and opens, bound to what the ciphertext belongs to."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)

    def seal(self, content: bytes, binding: bytes) -> bytes:
        """Ciphertext of content; opens only with the same binding."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._aead.encrypt(nonce, content, binding)

    def open(self, sealed: bytes, binding: bytes) -> bytes:
        """Content of a ciphertext. Raises: InvalidTag when it was changed or belongs elsewhere."""
        return self._aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], binding)


# The library's own choice would be SHA-1.
_SIGNING = {"key_derivation": "hmac", "digest_method": hashlib.sha256}


@dataclass(frozen=True)
class ServiceKeys:
    """What derives from the service's own data key."""

    data_key: DataKey
    identity: hmac.HMAC = field(repr=False)
    signing: bytes = field(repr=False)
    links: bytes = field(repr=False)  # 64 bytes

    @classmethod
    def from_key(cls, key: bytes) -> ServiceKeys:
        """Keys for sealing, for keyed hashes of identifiers, and for tokens and cursors."""
        identity = hmac.new(derive(key, "identity"), digestmod=hashlib.sha256)
        links = derive(key, "links") + derive(key, "links-encryption")
        return cls(DataKey(derive(key, "seal")), identity, derive(key, "signing"), links)

    def signer(self, purpose: str) -> URLSafeSerializer:
        """Signs and reads what clients bring back, for one purpose."""
        return URLSafeSerializer(self.signing, salt=purpose, signer_kwargs=_SIGNING)

    def timed_signer(self, purpose: str) -> URLSafeTimedSerializer:
        """The same with the time of signing in it."""
        return URLSafeTimedSerializer(self.signing, salt=purpose, signer_kwargs=_SIGNING)

    def identity_hash(self, kind: str, value: str) -> bytes:
        """Keyed hash of a normalised identifier, 32 bytes. Source: RFC 2104 with SHA-256."""
        keyed = self.identity.copy()  # a copy is made in a third of the time that a new one takes
        keyed.update(kind.encode() + b"\0" + value.encode())
        return keyed.digest()


__all__ = ["NOBODY", "DataKey", "InvalidTag", "RootSecret", "ServiceKeys", "derive", "is_as_signed"]
