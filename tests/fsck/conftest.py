"""The command line on the test's database, as the tests of commands have it."""

from tests.commands.conftest import command

__all__ = ["command"]
