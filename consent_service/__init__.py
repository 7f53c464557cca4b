"""A preference and consent service: customers turn volume dials, senders ask before each contact."""

__version__ = "0.1.0"
