"""Accounts, members, sites, tokens: SQLAlchemy over SQLite or PostgreSQL. No time series live here."""
