"""Tests of the files that install the programs, without a container engine."""
