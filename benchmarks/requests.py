"""The bytes that the driver sends: checks, batches and contacts about random customers of a world."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import orjson

from benchmarks import life

CHECK = "/v1/permissions/check"
BATCH = "/v1/permissions/check-batch"
CONTACT = "/v1/contacts"


def request(method: str, path: str, key: str, body: Mapping[str, Any] | None = None) -> bytes:
    """One request as it goes over the wire."""
    lines = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", f"Authorization: Bearer {key}", "Accept: */*"]
    content = b"" if body is None else orjson.dumps(body)
    if body is not None:
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + content


def question(rng: random.Random, number: int) -> dict[str, Any]:
    """A question about customer n, in the body's form."""
    channel, topic = life.QUESTIONS.pick(rng)
    return {"customer": f"email:{life.email(number)}", "channel": channel, "topic": topic}


def checks(seed: int, customers: int, count: int, key: str, *, path: str = CHECK) -> list[bytes]:
    """Single questions; with another path the same bytes to somebody else."""
    rng = random.Random(f"checks {seed}")
    return [request("POST", path, key, question(rng, n)) for n in life.numbers(rng, customers, count)]


def batches(seed: int, customers: int, count: int, key: str, *, rows: int = 1000) -> list[bytes]:
    """Batches of questions."""
    rng = random.Random(f"batches {seed}")
    return [
        request("POST", BATCH, key, {"checks": [question(rng, n) for n in life.numbers(rng, customers, rows)]})
        for _ in range(count)
    ]


def questions(seed: int, customers: int, count: int) -> list[dict[str, Any]]:
    """Questions about different customers, as bodies."""
    rng = random.Random(f"contacts {seed}")
    return [question(rng, number) for number in rng.sample(range(customers), min(customers, count))]


def hot_contacts(customers: int, key: str, *, topic: str) -> list[bytes]:
    """The same contact to the hot customer, again and again."""
    body = {"customer": f"email:{life.email(customers)}", "channel": "email", "topic": topic}
    return [request("POST", CONTACT, key, body)]
