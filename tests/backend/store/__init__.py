"""Tests of `backend.store`."""
