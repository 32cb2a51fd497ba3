"""The addressing catalogue: tables, the one decision engine, lint, publications."""
