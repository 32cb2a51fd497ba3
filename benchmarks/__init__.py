"""How fast the platform is, beside a plain proxy in the same run. `python -m benchmarks` runs it; never a test."""
