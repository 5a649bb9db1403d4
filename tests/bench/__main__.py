"""`make bench BENCH=name`: prints that benchmark's table, then its figures as one JSON object in the last line."""

from __future__ import annotations

import json
import sys
from importlib import import_module

BENCHES = {
    "accounts": "tests.bench.accounts",
    "compared": "tests.bench.compared",
    "farm": "tests.bench.farm",
    "flood": "tests.bench.flood",
    "poll": "tests.bench.poll",
    "silent": "tests.bench.silent",
    "spool": "tests.bench.spool",
    "pseudonyms": "tests.soak.pseudonyms",
    "store": "tests.bench.store",
    "warnings": "tests.bench.warnings",
}


def main() -> int:
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name not in BENCHES:
        print(f"usage: make bench BENCH=name, with a name of: {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    figures: dict[str, float] = import_module(BENCHES[name]).main()
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
