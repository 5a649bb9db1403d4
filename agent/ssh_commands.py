"""What is asked of a machine over SSH, by firmware family: constants, never built from what a machine says.

Each command only reads. None reads a file of settings (`/etc/bosminer.toml`, `/config/*.conf`): pool passwords are in
there. Whole lines are asked for, and few of them; what comes is bounded by `agent.ssh` all the same. A machine that
does not have a file or a program says so in one line, and that line is shown: images differ, so it is better to ask
for one log too many than for one too few.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, NamedTuple

from agent.normalise import slug
from agent.reading import Facts


class Command(NamedTuple):
    """One thing to ask: what it is called in a bundle, what is run, why it is wanted."""

    title: str
    line: str
    why: str


_UPTIME: Final = Command("uptime", "cat /proc/uptime", "restarts; a time that goes back is a reboot loop")
_VERSION: Final = Command("kernel version", "cat /proc/version", "which image it runs; faults come with updates")
_MEMORY: Final = Command("memory", "cat /proc/meminfo | head -n 5", "miners die of full memory after weeks")
_DISK: Final = Command("disk", "df", "a full overlay keeps settings and logs from being written")
_KERNEL: Final = Command("kernel log", "dmesg | tail -n 1500", "bus, power supply and network faults show here first")
_MESSAGES: Final = Command("system log", "tail -n 1500 /var/log/messages", "what init and the miner told syslog")
_LOGREAD: Final = Command("log in memory", "logread | tail -n 1500", "OpenWrt keeps its log in memory, not in a file")
_JOURNAL: Final = Command(
    "journal", "journalctl --no-pager -n 1500 -o short-iso", "images with systemd keep their log there"
)

_FACTS: Final = (_UPTIME, _VERSION, _MEMORY, _DISK)

FAMILIES: Final = MappingProxyType(
    {
        # Stock images: busybox and syslog. The page "Kernel Log" of an S9 prints dmesg and these three files; later
        # images (S15 and on) print dmesg and /tmp/miner.log*. The rest of /tmp holds sockets and settings.
        "antminer": (
            *_FACTS,
            _KERNEL,
            _MESSAGES,
            Command("miner log", "tail -n 1500 /tmp/miner.log", "board and chip detection on S15 and later"),
            Command("chip search", "tail -n 500 /tmp/search", "which chips answered at start (S9 and its kind)"),
            Command("frequencies", "tail -n 500 /tmp/freq", "what the tuning of an S9 and its kind settled on"),
            Command("last temperatures", "tail -n 100 /tmp/lasttemp", "how hot it was before it stopped"),
        ),
        # OpenWrt in older releases, systemd in newer ones; bosminer writes a file of its own in both.
        "braiins": (
            *_FACTS,
            Command("release", "cat /etc/bos_version", "the version that support asks for first"),
            _KERNEL,
            Command(
                "miner log", "tail -n 1500 /var/log/bosminer/bosminer.log", "tuner, boards, pools as bosminer saw them"
            ),
            _LOGREAD,
            _JOURNAL,
        ),
        # luxminer logs to a file that its web page offers as current/luxminer.log, and to syslog.
        "luxos": (
            *_FACTS,
            _KERNEL,
            Command("miner log", "tail -n 1500 /var/log/luxminer.log", "power-offs and chip temperatures, by board"),
            _MESSAGES,
            _JOURNAL,
        ),
        # Stock Antminer's layout under another miner; the tuner logs to syslog.
        "vnish": (
            *_FACTS,
            _KERNEL,
            _MESSAGES,
            Command("miner log", "tail -n 1500 /tmp/miner.log", "board detection and tuning"),
        ),
        "hiveon": (
            *_FACTS,
            _KERNEL,
            _MESSAGES,
            Command("miner log", "tail -n 1500 /tmp/miner.log", "board detection and tuning"),
        ),
        # ePIC's control board and Marathon's run a full Linux with systemd.
        "epic": (*_FACTS, _KERNEL, _JOURNAL),
        "marathon": (*_FACTS, _KERNEL, _JOURNAL, _MESSAGES),
        # Who opened SSH on another make knows that it is there: what any Linux has.
        "other": (*_FACTS, _KERNEL, _MESSAGES, _LOGREAD, _JOURNAL),
    }
)
"""What each family allows and is worth asking for."""

_SIGNS: Final = (
    ("braiins", ("braiins", "bos", "bosminer")),
    ("luxos", ("luxos", "luxminer", "luxor")),
    ("vnish", ("vnish", "anthill")),
    ("hiveon", ("hiveon", "hive")),
    ("epic", ("epic",)),
    ("marathon", ("marathon", "marafw")),
    ("antminer", ("antminer", "bitmain")),
)
"""Firmwares before the maker whose machines they run on."""


def family_of(facts: Facts) -> str:
    """The key into `FAMILIES` for a machine, by its firmware, else its maker."""
    said = (slug(facts.firmware or ""), slug(facts.make or ""))
    for family, signs in _SIGNS:
        if any(words.startswith(sign) for words in said for sign in signs):
            return family
    return "other"
