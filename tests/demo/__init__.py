"""`make demo`: the whole system on one machine, with something to look at."""
