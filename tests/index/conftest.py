from tests.databases import database, database_url, migrated_file, migrated_postgres, postgres_schema_url

__all__ = ["database", "database_url", "migrated_file", "migrated_postgres", "postgres_schema_url"]
