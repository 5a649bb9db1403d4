"""Alembic's side of the registry: `env.py` and one file a revision. Revisions import no tables: they are history.

A new one, after a change of `tables.py`: `python -m backend.registry.migrations "Say what and why"`.
"""
