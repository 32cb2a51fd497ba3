"""Connecting a system: what its endpoint must be able to, and what to write into the tables."""
