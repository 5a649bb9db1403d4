"""A farm of simulated miners on loopback: real protocols, living numbers, faults by script; for demo and tests.

Everything that answers like a miner lives here and nothing that asks one. `farm.Farm` is the way in;
`conversation` holds what the protocols share, `families/` the machines of our own making.
"""
