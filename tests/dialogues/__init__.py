"""Dialogues: the record and what comes of proposals."""
