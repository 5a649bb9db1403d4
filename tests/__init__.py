"""Tests mirror the source; whole-system runs are in e2e, one suite per Protocol in contract."""
