"""The patient-data rules: who may see what of whom, why, and what has to be written down. Pure."""
