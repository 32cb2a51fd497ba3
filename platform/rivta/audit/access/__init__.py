"""The access log: who has looked at which patient's data. Never changed, chained, signed, and followed up."""
