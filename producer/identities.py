"""What `maskmill identity list` tells of a job."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from common.escaping import escape
from common.identity import FLAG_OF, RULES
from common.ledger.jobs import RecordedJob
from common.ledger.references import ReferenceRow


def as_json(
    job: RecordedJob, references: Sequence[ReferenceRow], decisions: Mapping[int, int]
) -> dict[str, Any]:
    """One job for programs."""
    return {
        "job": job.name,
        "embedder": job.options.embedder,
        "threshold": job.options.filter_threshold,
        "references": [
            {
                "list": row.list,
                "path": escape(row.path),
                "sha256": row.sha256,
                "embedder": row.embedder,
                "faces": row.faces,
                "box": [row.x1, row.y1, row.x2, row.y2],
            }
            for row in references
        ],
        "decisions": {str(rule): decisions.get(rule, 0) for rule in RULES},
    }


def as_lines(
    job: RecordedJob, references: Sequence[ReferenceRow], decisions: Mapping[int, int]
) -> Iterator[str]:
    """One job for people."""
    yield f"job {job.name}: {job.options.embedder}, threshold {job.options.filter_threshold}"
    for row in references:
        several = "" if row.faces == 1 else f" (the largest of {row.faces} faces)"
        yield f"  --{FLAG_OF[row.list]} {escape(row.path)}{several}"
    for rule, meaning in RULES.items():
        yield f"  rule {rule}, {meaning}: {decisions.get(rule, 0)} faces"
