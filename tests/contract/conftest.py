"""Says at the end what was generated."""

from __future__ import annotations

import pytest

from tests.contract.counting import Counting, summary


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Nothing where the calls were made in other processes (pytest -n)."""
    if Counting.calls:
        for line in summary():
            terminalreporter.write_line(line)
