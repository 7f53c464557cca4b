"""Many real clients against a real running service; nothing is stood in for."""

import pytest

# What is held against the law stands in the scenarios: their assertions shall say as much as those of a test.
pytest.register_assert_rewrite(
    "tests.concurrency.attempts",
    "tests.concurrency.crowd",
    "tests.concurrency.last_room",
    "tests.concurrency.opposition",
    "tests.concurrency.silence",
)
