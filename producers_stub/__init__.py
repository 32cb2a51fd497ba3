"""Stub producers: journal systems that stand in for the real ones, with canned journals and scenarios."""
