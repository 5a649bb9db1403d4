"""The C library's memory, for a process that runs for months with a dozen threads on a small computer.

glibc gives each thread a heap of its own, keeps what was freed in the middle of one, and learns from each large block
that large blocks are to be kept as well. asic-rs' threads read ten thousand machines by turns, so that each heap
fills with the gaps of the others' reads. Other C libraries have none of this, and nothing is done to them.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8
_ARENAS: Final = 2
_LARGE_BYTES: Final = 1 << 18
"""Larger blocks go back to the system at once: such as those that the files of the state folder are written from."""


def settle() -> None:
    """For this process, from now on; before it starts threads."""
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "gnu_get_libc_version"):
        library.mallopt(_M_ARENA_MAX, _ARENAS)
        library.mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        library.mallopt(_M_TRIM_THRESHOLD, _LARGE_BYTES)


def give_back() -> None:
    """Give what is free within the heaps back to the system. Takes milliseconds, and blocks no Python meanwhile."""
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)
