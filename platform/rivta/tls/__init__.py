"""The development CA, TLS contexts, revocation, and who a certificate belongs to. Knows nothing of the rest."""
