"""Benchmarks: a table for people, one JSON object as the last line; they never fail on a figure."""
