"""The testers' bench: cases in folders, assertions as data, replay, recording, dry-runs, reports, pytest."""
