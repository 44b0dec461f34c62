"""Fails where fewer lines or fewer branches than promised were run: ``coverage json`` has them."""

import json
import sys
from pathlib import Path

FLOOR = 98  # per cent


def main(report: str) -> int:
    totals = json.loads(Path(report).read_text("utf-8"))["totals"]
    shares = {
        "lines": 100 * totals["covered_lines"] / totals["num_statements"],
        "branches": 100 * totals["covered_branches"] / totals["num_branches"],
    }
    for name, share in shares.items():
        print(f"{name}: {share:.2f} %, of which {FLOOR} % are promised")
    return int(min(shares.values()) < FLOOR)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
