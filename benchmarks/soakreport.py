"""The table of what faults cost, from the lines that `make soak` writes.

    python -m benchmarks.soakreport build/soak.jsonl [--update docs/reliability.md]

Without `--update` it is printed; with it the text between the markers of that file is replaced.
"""

from __future__ import annotations

import argparse
import glob
import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).resolve().parents[1]
BEGIN = "<!-- figures of `make soak` begin -->"
END = "<!-- figures of `make soak` end -->"
_LIBRARIES = ("celery", "kombu", "billiard", "redis", "sqlalchemy", "psycopg")
_COLUMNS = {
    "fault": "fault",
    "images": "images",
    "disturbances": "injected",
    "lost": "lost before reconcile",
    "beyond_ideal": "executions beyond ideal",
    "recovery_s": "seconds to recover",
    "slowdown": "slowdown",
    "orphans": "orphan files",
    "notes": "other figures",
}


@lru_cache(maxsize=1)
def measured_at() -> dict[str, str]:
    """The commit and the versions that figures belong to."""
    commit = _output("git", "-C", str(PROJECT), "rev-parse", "--short", "HEAD") or "unknown"
    if _output("git", "-C", str(PROJECT), "status", "--porcelain", "--untracked-files=no"):
        commit += " with changes"
    servers = _newest("redis-server", "Redis", r"v=([\d.]+)", os.environ.get("PATH", "").split(os.pathsep))
    servers += _newest("postgres", "PostgreSQL", r"([\d.]+)", glob.glob("/usr/lib/postgresql/*/bin"))
    libraries = [f"{name} {version(name)}" for name in _LIBRARIES]
    python = ".".join(map(str, sys.version_info[:3]))
    return {"commit": commit, "versions": ", ".join([f"Python {python}", *libraries, *servers])}


def _newest(program: str, shown: str, pattern: str, folders: Sequence[str]) -> list[str]:
    """The program's name with its newest version, which is what the fault tests take; nothing where there is none."""
    words = [_output(os.path.join(folder, program), "--version") for folder in folders]
    found = [one.group(1) for one in (re.search(pattern, text) for text in words) if one]
    newest = sorted(found, key=lambda number: tuple(map(int, number.strip(".").split("."))))[-1:]
    return [f"{shown} {number}" for number in newest]


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def table_of(lines: Sequence[str]) -> str:
    """Where the figures were measured, and a Markdown table of them: of each test the latest."""
    latest: dict[tuple[str, str], dict[str, Any]] = {}
    for line in filter(str.strip, lines):
        row = json.loads(line)
        latest[row["id"], row.get("case", "")] = row
    rows = sorted(latest.values(), key=lambda row: (_number(row["id"]), row["id"], row.get("case", "")))
    places = {(row["commit"], row["versions"]): None for row in rows}
    text = [f"- measured at commit {commit}: {versions}" for commit, versions in places]
    text += ["", "| # | " + " | ".join(_COLUMNS.values()) + " |", "|" + " --- |" * (len(_COLUMNS) + 1)]
    for row in rows:
        cells = [row["id"], *("" if row.get(name) is None else str(row[name]) for name in _COLUMNS)]
        text.append("| " + " | ".join(cells) + " |")
    return "\n".join(text)


def update(document: str, table: str) -> str:
    """The document with another table between its markers.

    Raises:
        ValueError: it has no such markers.
    """
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"expected the lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{table}\n\n{END}{after}"


def _number(name: str) -> int:
    found = re.search(r"\d+", name)
    return int(found.group()) if found else 1000


def main() -> int:
    """Print the table, or put it into a document."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("figures", type=Path, help="the lines of JSON that `make soak` writes")
    parser.add_argument("--update", type=Path, metavar="DOCUMENT")
    given = parser.parse_args()
    table = table_of(given.figures.read_text(encoding="utf-8").splitlines())
    if given.update is None:
        print(table)
    else:
        given.update.write_text(update(given.update.read_text(encoding="utf-8"), table), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
