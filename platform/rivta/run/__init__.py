"""Processes: settings, assembly, supervisor, workers, keepers."""
