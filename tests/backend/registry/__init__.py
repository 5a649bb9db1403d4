"""Tests of `backend.registry`."""
