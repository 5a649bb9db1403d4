"""Drivers against machines that answer on real sockets."""
