"""The contracts that a platform answers itself: what it is asked about its tables, and whether it is alive."""
