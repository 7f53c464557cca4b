"""The canonical form of an event's content is RFC 8785's, whichever encoder writes it."""

from __future__ import annotations

import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from consent_service.history.model import canonical, commitment, open_bytes, seal_bytes

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(TEXT, VALUES, max_size=5))
def test_canonical_form_is_that_of_rfc_8785(content: dict[str, object]) -> None:
    assert canonical(content) == rfc8785.dumps(content)


def test_a_content_proves_itself_and_a_changed_one_does_not() -> None:
    committed, sealed = seal_bytes({"a": 1, "b": "x"})
    assert open_bytes(committed, sealed) == {"a": 1, "b": "x"}
    assert commitment(sealed[:32], sealed[32:].replace(b"1", b"2")) != committed
