"""One test module a promise, `test_P22_audit.py` for P22: each holds the running system to it.

`python -m tests.promises` (`make promises`) runs them and prints which promises are kept. A promise that waits is a
strict xfail with its reason, and is not kept.
"""
