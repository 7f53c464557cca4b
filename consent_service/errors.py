"""The closed list of domain errors: code, status, title.

Every refusal that leaves the service has a code from this table; `openapi.yaml` lists the same ones and a
test holds the two together. Details never hold personal data: they are written for logs of others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

CODES: Mapping[str, tuple[int, str]] = {
    # The body or a parameter cannot be read.
    "invalid_json": (400, "The body is not JSON"),
    "object_expected": (400, "A JSON object is expected"),
    "duplicate_key": (400, "A key stands twice in one object"),
    "invalid_number": (400, "A number is out of range"),
    "invalid_unicode": (400, "A string is not valid Unicode"),
    "invalid_encoding": (400, "The body is not UTF-8"),
    "control_character": (400, "A string holds a control character"),
    "json_too_deep": (400, "The JSON is nested too deeply"),
    "invalid_cursor": (400, "The cursor is not one of ours"),
    "invalid_parameter": (400, "A query parameter is not valid"),
    "invalid_idempotency_key": (400, "The Idempotency-Key is not valid"),
    "bad_request": (400, "The request cannot be read"),
    "request_timeout": (408, "The request did not come in time"),
    "uri_too_long": (414, "The address is too long"),
    "head_too_large": (431, "The head of the request is too large"),
    "unsupported_media_type": (415, "The body must be application/json"),
    "body_too_large": (413, "The body is too large"),
    "too_many_items": (413, "There are too many items in one call"),
    # Who is asking.
    "unauthenticated": (401, "A valid key is needed"),
    "role_not_allowed": (403, "This key's role may not do this"),
    "topic_not_allowed": (403, "This key may not use this topic"),
    "only_customers_open": (403, "Only the customer opens a dialogue"),
    "only_customers_widen": (403, "Only the customer widens a dialogue"),
    "rate_limited": (429, "Too many requests"),
    "visit_ended": (401, "The visit has ended"),
    "csrf_failed": (403, "The form was not sent from a page of ours"),
    # The content.
    "unknown_field": (422, "There is a field that is not known here"),
    "missing_field": (422, "A field is missing"),
    "invalid_value": (422, "A value is not valid"),
    "invalid_timestamp": (422, "A time is not valid"),
    "invalid_customer_reference": (422, "The customer reference is not well formed"),
    "unknown_identifier_kind": (422, "The catalogue declares no such kind of identifier"),
    "ambiguous_customer": (422, "Several customers hold this identifier"),
    "same_customer": (422, "A customer cannot be merged into itself"),
    "unknown_channel": (422, "The catalogue has no such channel"),
    "unknown_topic": (422, "The catalogue has no such topic"),
    "unknown_level": (422, "The catalogue has no such level"),
    "unknown_notice": (422, "The catalogue has no such notice"),
    "unknown_segment": (422, "The catalogue has no such segment"),
    "unknown_milestone": (422, "There is no such milestone"),
    "unknown_time_zone": (422, "There is no such time zone"),
    "topic_retired": (422, "The topic is retired"),
    "channel_retired": (422, "The channel is retired"),
    "duplicate_place": (422, "The same place stands twice in one change"),
    "notice_required": (422, "A louder change needs a notice"),
    "evidence_required": (422, "A louder change needs evidence"),
    "occurred_at_required": (422, "A louder change from this source needs its date"),
    "confirmation_required": (422, "A louder change on this channel needs a confirmation"),
    "idempotency_key_reused": (422, "The Idempotency-Key was used for another request"),
    "invalid_catalogue": (422, "The catalogue is not valid"),
    # The state of things.
    "unknown_customer": (404, "There is no such customer"),
    "not_found": (404, "There is nothing here"),
    "method_not_allowed": (405, "This method is not allowed here"),
    "identifiers_conflict": (409, "The identifiers are not one customer's"),
    "customer_erased": (409, "The customer was erased"),
    "last_identifier": (409, "It is the customer's last identifier"),
    "identifier_suppressed": (409, "A stop stands on the identifier"),
    "superseded": (409, "A later act stands at this place"),
    "not_permitted": (409, "The contact is not permitted"),
    "permit_expired": (409, "The permit has expired"),
    "permit_released": (409, "The permit was released"),
    "permit_void": (409, "The permit is void"),
    "permit_not_yet": (409, "The permit is not valid yet"),
    "permit_used": (409, "The permit was used"),
    "too_many_dialogues": (409, "The customer has as many open dialogues as there may be"),
    "dialogue_closed": (409, "The dialogue is closed"),
    "dialogue_expired": (409, "The dialogue has expired"),
    "dialogue_full": (409, "The dialogue holds as many entries as there may be"),
    "proposal_answered": (409, "The proposal was answered already"),
    "proposal_withdrawn": (409, "The proposal was withdrawn"),
    "idempotency_in_progress": (409, "The same request is still running"),
    "key_name_taken": (409, "Another role has a key of this name"),
    "louder_catalogue": (409, "The catalogue would make existing customers louder"),
    "stale_version": (412, "The dials have changed meanwhile"),
    # The service.
    "internal": (500, "Something went wrong here"),
    "decision_unavailable": (503, "No decision can be made now"),
}


class ConsentError(Exception):
    """A refusal with a stable code; `context` becomes members of the problem document.

    Args:
        code: one of CODES.
        detail: what is wrong and what to do next, without personal data.
        errors: field errors, each {pointer (RFC 6901), code, detail}.
        headers: extra response headers, such as Retry-After.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        **context: Any,
    ) -> None:
        self.code = code
        self.status, self.title = CODES[code]
        self.detail = detail or self.title
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.context = context
        super().__init__(f"{code}: {self.detail}")

    def row(self) -> dict[str, Any]:
        """The error as it stands on a row of a batch answer: {error: {code, detail}}."""
        return {"error": {"code": self.code, "detail": self.detail, **self.context}}


class Unavailable(ConsentError):
    """503: the database cannot answer now. Never read as "allowed"."""

    def __init__(self, detail: str = "The database does not answer. Ask again.") -> None:
        super().__init__("decision_unavailable", detail, headers={"Retry-After": "1"})
