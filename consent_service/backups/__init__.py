"""Backups of the database in one file, and the way back: written whole, checked whole, swapped in whole."""
