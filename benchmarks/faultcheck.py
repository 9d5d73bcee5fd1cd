"""The oracle of all fault tests: is a job whole, whatever happened to it, and what did the faults cost?

    python -m benchmarks.faultcheck --output OUT [--database-url URL] [--broker-url URL] [--json]
    python -m benchmarks.faultcheck --report build/soak.jsonl

Written with plain SQL, the standard library, Pillow and redis-py, so that it shares no mistake with the product.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import redis
from PIL import Image, UnidentifiedImageError
from sqlalchemy import Connection, create_engine, text

from benchmarks.soakreport import table_of

FINAL = ("done", "missed", "failed")
STAGES = ("detect", "augment")
_TEMPORARY = re.compile(rb"\..*\.maskmill\.tmp", re.DOTALL)
_NOT_ARTIFACTS = re.compile(
    rb"logs\.csv|missed_images\.txt|maskmill\.db(-wal|-shm)?|\.maskmill-run\.json|segmentations_.*\.json"
)
_SHOWN = 5


@dataclass
class Findings:
    """What the oracle found.

    Attributes:
        problems: sentences; empty when the job is whole.
        states: images per state.
        codes: failed images per error code.
        executions: how often a process began an image, both stages, whatever became of that.
        ideal: how many would have done: one an image and stage.
        temporaries: temporary files lying in the output; not a problem while a sweep has yet to come.
        tree_hash: one hash over all artifacts, names and bytes.
    """

    problems: list[str] = field(default_factory=list)
    job_state: str = ""
    states: dict[str, int] = field(default_factory=dict)
    codes: dict[str, int] = field(default_factory=dict)
    artifacts: int = 0
    executions: int = 0
    ideal: int = 0
    most_attempts: int = 0
    temporaries: int = 0
    dead_letters: int = 0
    tree_hash: str = ""

    @property
    def beyond_ideal(self) -> int:
        """Executions that an undisturbed run would not have had."""
        return self.executions - self.ideal


def check(
    output: Path, database_url: str, broker_url: str | None = None, *, allow_temporaries: bool = False
) -> Findings:
    """Look at everything that a finished job left.

    Args:
        broker_url: its queues must be empty; None where there is no broker any more.
        allow_temporaries: no sweep has been since the last kill.
    """
    findings = Findings()
    engine = create_engine(re.sub(r"^postgres(ql)?://", "postgresql+psycopg://", database_url))
    try:
        with engine.connect() as connection:
            recorded = _check_rows(connection, output, findings)
    finally:
        engine.dispose()
    _check_files(output, recorded, findings)
    if findings.temporaries and not allow_temporaries:
        findings.problems.append(f"{findings.temporaries} temporary files are left")
    if broker_url is not None:
        _check_queues(broker_url, findings)
    return findings


def _check_rows(connection: Connection, output: Path, findings: Findings) -> dict[bytes, Any]:
    """The artifact rows by path."""
    folder = os.path.realpath(os.fsencode(output))
    jobs = connection.execute(text("SELECT * FROM jobs WHERE output = :o"), {"o": folder}).all()
    if len(jobs) != 1:
        findings.problems.append(f"the output must have one job, got {len(jobs)}")
        return {}
    job = jobs[0]
    findings.job_state = job.state
    if job.state != "done" or job.finished_at is None:
        findings.problems.append(f"the job must be done, is {job.state}: {job.error}")
    images = connection.execute(text("SELECT * FROM images WHERE job_id = :j"), {"j": job.id}).all()
    findings.states = dict(Counter(row.status for row in images))
    findings.codes = dict(Counter(row.error_code for row in images if row.error_code))
    findings.most_attempts = max((row.attempts for row in images), default=0)
    _expect(findings, "not in a final state", [r.relative_path for r in images if r.status not in FINAL])
    _expect(findings, "still claimed", [r.relative_path for r in images if r.claimed_by])
    _expect(
        findings,
        "an error code without failure, or the reverse",
        [r.relative_path for r in images if bool(r.error_code) != (r.status == "failed")],
    )
    query = text("SELECT a.* FROM artifacts a JOIN images i ON i.id = a.image_id WHERE i.job_id = :j")
    artifacts = connection.execute(query, {"j": job.id}).all()
    findings.artifacts = len(artifacts)
    recorded = {bytes(row.path): row for row in artifacts}
    if len(recorded) != len(artifacts):
        findings.problems.append(f"{len(artifacts) - len(recorded)} files have more than one row")
    state_of = {row.id: row.status for row in images}
    with_files = {row.image_id for row in artifacts}
    _expect(
        findings, "missed, and has files", [i for i in with_files if state_of[i] not in ("done", "failed")]
    )
    # Counted when a process begins an image, in the same commit as its claim: also what died is in it.
    findings.executions = sum(row.starts for row in images)
    findings.ideal = sum(2 if row.status == "done" or row.error_stage == "augment" else 1 for row in images)
    findings.dead_letters = int(connection.execute(text("SELECT count(*) FROM dead_letters")).scalar() or 0)
    return recorded


def _check_files(output: Path, recorded: dict[bytes, Any], findings: Findings) -> None:
    hashes: list[tuple[bytes, str]] = []
    seen: set[bytes] = set()
    for path, file in _files(output):
        if _TEMPORARY.fullmatch(os.path.basename(path)):
            findings.temporaries += 1
            continue
        seen.add(path)
        data = file.read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        hashes.append((path, digest))
        row = recorded.get(path)
        if row is None:
            findings.problems.append(f"{path!r} is on disk and in no row")
        elif (len(data), digest) != (row.size, row.sha256):
            findings.problems.append(f"{path!r} is not what its row says")
        elif not _decodes(data):
            findings.problems.append(f"{path!r} does not decode")
    _expect(findings, "recorded and not on disk", sorted(recorded.keys() - seen))
    findings.tree_hash = hashlib.sha256(repr(sorted(hashes)).encode()).hexdigest()


def _files(output: Path) -> Iterator[tuple[bytes, Path]]:
    root = os.fsencode(output)
    for folder, _, names in os.walk(root):
        for name in names:
            whole = os.path.join(folder, name)
            path = os.path.relpath(whole, root)
            if not _NOT_ARTIFACTS.fullmatch(path):
                yield path, Path(os.fsdecode(whole))


def _decodes(data: bytes) -> bool:
    try:
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
    except (OSError, UnidentifiedImageError):
        return False
    return True


def _check_queues(broker_url: str, findings: Findings) -> None:
    with redis.Redis.from_url(broker_url.replace("redis+socket://", "unix://")) as client:
        depths: dict[str, Any] = {stage: client.llen(stage) for stage in STAGES}
        depths |= {"unacked": client.hlen("unacked"), "unacked_index": client.zcard("unacked_index")}
    for name, depth in depths.items():
        if depth:
            findings.problems.append(f"{name} must be empty, holds {depth}")


def _expect(findings: Findings, problem: str, culprits: Sequence[object]) -> None:
    if culprits:
        findings.problems.append(f"{len(culprits)} {problem}: {culprits[:_SHOWN]!r}")


def main() -> int:
    """Print what was found; 1 when the job is not whole."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--output", type=Path)
    parser.add_argument("--database-url", help="default: that of a `run` output")
    parser.add_argument("--broker-url")
    parser.add_argument("--allow-temporaries", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--report", type=Path, metavar="JSONL", help="render the figures of `make soak`")
    given = parser.parse_args()
    if given.report is not None:
        print(table_of(given.report.read_text(encoding="utf-8").splitlines()))
        return 0
    if given.output is None:
        parser.error("--output or --report is needed")
    url = given.database_url or f"sqlite:///{given.output}/maskmill.db"
    findings = check(given.output, url, given.broker_url, allow_temporaries=given.allow_temporaries)
    if given.json:
        print(json.dumps({**asdict(findings), "beyond_ideal": findings.beyond_ideal}))
    else:
        for name, value in (*asdict(findings).items(), ("beyond_ideal", findings.beyond_ideal)):
            if name != "problems":
                print(f"{name:14} {value}")
        for problem in findings.problems:
            print(f"PROBLEM        {problem}")
    return 1 if findings.problems else 0


if __name__ == "__main__":
    sys.exit(main())
