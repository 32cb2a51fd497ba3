"""The database: engine, tables, migrations. Knows nothing of the rest."""
