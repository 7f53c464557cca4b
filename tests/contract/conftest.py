"""Generated requests get an id each, by their operation: else they have one between them, and workers would run one."""

from __future__ import annotations

import pytest
from schemathesis.pytest.plugin import SchemathesisFunction


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Before anybody looks at the ids."""
    for item in items:
        if isinstance(item, SchemathesisFunction) and item.parent is not None:
            item._id = type(item.id).parse(f"{item.parent.nodeid}::{item.name}")
