"""Protocol logic: reading and writing SOAP messages, RIV-TA profiles, faults. Knows nothing of the rest."""
