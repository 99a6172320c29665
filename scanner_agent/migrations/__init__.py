"""Versions of the results database's schema, applied by `scanner_agent.store` through Alembic."""
