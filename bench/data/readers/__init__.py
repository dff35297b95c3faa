"""Readers: one file for each kind of source, all with the same three methods."""
