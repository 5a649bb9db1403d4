"""What was freed goes back to the system. In processes of their own: it is for the rest of a process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep nothing")

PROGRAM = """
import ctypes, threading, time
from agent import allocator
{settle}
library = ctypes.CDLL(None)
library.malloc.restype, library.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]

def churn(kept):  # what is freed lies between what is kept
    blocks = [library.malloc(8_000) for _ in range(4_000)]
    for block in blocks:
        ctypes.memset(block, 1, 8_000)
    kept += blocks[::8]
    for number, block in enumerate(blocks):
        if number % 8:
            library.free(block)

def rss_mb():
    pages = int(open("/proc/self/statm").read().split()[1])
    return pages * 4096 / 1e6

kept = []
for _ in range(4):
    thread = threading.Thread(target=churn, args=(kept,)); thread.start(); thread.join()
before = rss_mb()
allocator.give_back()
print(before, rss_mb())
"""


def test_what_is_free_between_what_is_kept_is_given_back() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(settle="allocator.settle()")], check=True, capture_output=True, text=True
    )
    before_mb, after_mb = map(float, done.stdout.split())
    assert after_mb < before_mb - 20
