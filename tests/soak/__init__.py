"""Runs that take minutes: started by hand or by `make bench`, not by `make test`."""
