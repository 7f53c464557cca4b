"""Conversations that customers open: the record, what is said in them, and what is proposed and accepted."""
