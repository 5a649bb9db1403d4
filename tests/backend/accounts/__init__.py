"""Accounts and access, below HTTP."""
