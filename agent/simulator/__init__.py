"""A farm of simulated miners on loopback: real protocols, living numbers, faults by script; for demo and tests."""
