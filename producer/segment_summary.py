"""What a segmentation looks like in words and in JSON."""

from __future__ import annotations

from dataclasses import asdict

from sqlalchemy import Engine

from common.escaping import escape
from common.ledger.maps import failed_images, run_totals
from common.ledger.segments import RecordedRun

_FAILED_NAMED = 5


def run_as_json(engine: Engine, run: RecordedRun) -> dict[str, object]:
    """A segmentation as plain values."""
    totals = run_totals(engine, run)
    return {
        "segmentation": run.name,
        "job": run.job.name,
        "state": run.state,
        "error": run.error,
        "masker": run.request.masker,
        "mode": run.request.mode,
        **asdict(totals),
        "skipped": _skipped(run, totals.kept, totals.left_out),
    }


def run_as_lines(engine: Engine, run: RecordedRun) -> list[str]:
    """A segmentation for people."""
    totals = run_totals(engine, run)
    request = run.request
    why = [f"{totals.kept} had a map already"] if totals.kept and request.mode != "preview" else []
    if totals.left_out:
        why.append(
            f"{totals.left_out} {'without a map' if request.mode == 'preview' else 'without landmarks'}"
        )
    skipped = _skipped(run, totals.kept, totals.left_out)
    lines = [
        f"segmentation {run.name} of job {run.job.name}: {run.state}{f' ({run.error})' if run.error else ''}, "
        f"{request.masker}, {request.mode}",
        f"  faces: {totals.faces} seen, {totals.updated} updated, {skipped} skipped"
        + (f" ({', '.join(why)})" if why else ""),
        f"  images: {totals.images} ({totals.failed} failed, {totals.open} open)",
    ]
    if request.previews is not None:
        lines.append(f"  previews: {totals.previews} in {escape(request.previews)}")
    for path, code, message in failed_images(engine, run, _FAILED_NAMED):
        lines.append(f"  failed, {code}: {escape(path)}: {message}")
    return lines


def left_out_warning(engine: Engine, run: RecordedRun) -> str | None:
    """What is to be said of faces that were left out; None where there are none."""
    count = run_totals(engine, run).left_out
    if not count:
        return None
    if run.request.mode == "preview":
        return f"{count} faces have no map by {run.request.masker} and are skipped: make them with --mode missing"
    return f"{count} faces have no landmarks and are skipped: those of images that are not done have none yet"


def _skipped(run: RecordedRun, kept: int, left_out: int) -> int:
    """In `preview` a map that is there is what was asked for."""
    return left_out if run.request.mode == "preview" else kept + left_out
