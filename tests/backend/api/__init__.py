"""Tests of `backend.api`."""
