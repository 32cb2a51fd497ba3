"""The engagement index: which source system has something about whom, and who is told when that changes."""
