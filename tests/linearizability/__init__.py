"""Every customer's answers fit one order of events that respects real time: a recorder, a model and a checker."""

import pytest

# What is held against the law stands in the scenario too.
pytest.register_assert_rewrite("tests.linearizability.siege")
