"""Whole-system runs: real programs, real sockets, real files, killed in the middle."""
