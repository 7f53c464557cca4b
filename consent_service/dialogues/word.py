"""On whose word something is done in a dialogue: the customer's own, or the desk's with what shows it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from consent_service.errors import ConsentError
from consent_service.history.model import Actor


def on_their_word(actor: Actor, said: Mapping[str, Any]) -> Actor:
    """The actor with how the customer's word arrived, `source` and `evidence` of the body.

    Raises:
        ConsentError: evidence_required, for anybody but the customer without evidence.
    """
    evidence = said.get("evidence")
    if not actor.is_customer and not evidence:
        raise ConsentError("evidence_required", "Name the call or letter in evidence.")
    return replace(actor, source=said.get("source") or ("web" if actor.is_customer else "api"), evidence=evidence)
