"""What a job looks like in words and in JSON."""

from __future__ import annotations

import time
from dataclasses import asdict

from common.escaping import escape
from common.ledger.reports import JobReport


def as_json(report: JobReport) -> dict[str, object]:
    """A report as plain values; times are seconds since 1970."""
    job = report.job
    return {
        "job": job.name,
        "state": job.state,
        "error": job.error,
        "output": escape(job.output),
        "seed": job.options.seed,
        "provider": job.provider,
        "images": {**asdict(report.counts), "open": report.counts.open, "total": report.counts.total},
        "found": job.found,
        "left_out": job.left_out,
        "videos": [
            {
                "path": escape(one.path),
                "frames": one.frames,
                "counted": one.counted,
                "is_accurate": one.is_accurate or one.all_seen,
                "decoded": one.decoded,
            }
            for one in report.videos
        ],
        "faces": report.faces,
        "artifacts": report.artifacts,
        "undrawn": report.undrawn,
        "failures": report.failures,
        "images_per_s": None if report.images_per_s is None else round(report.images_per_s, 2),
        "eta_s": None if report.eta_s is None else round(report.eta_s),
        "workers": report.workers,
        "started_at": job.started_at,
        "scanned_at": job.scanned_at,
        "finished_at": job.finished_at,
    }


def as_lines(report: JobReport) -> list[str]:
    """A report for people."""
    job, counts = report.job, report.counts
    total = str(counts.total) if job.scanned_at else f"{counts.total} so far"
    where = f", detection on {job.provider}" if job.provider else ""
    lines = [
        f"job {job.name}: {job.state}{f' ({job.error})' if job.error else ''}, output {escape(job.output)}",
        f"  images: {total} ({counts.done} done, {counts.missed} missed, {counts.failed} failed, "
        f"{counts.open} open)",
        f"  faces: {report.faces}, artifacts: {report.artifacts}, processes: {report.workers}{where}",
    ]
    if job.left_out:
        to_do = (job.found or 0) - job.left_out
        lines.insert(1, f"  input: {job.found} found, {job.left_out} left out, {to_do} to do")
    lines += [
        f"  video {escape(one.path)}: {one.counted} frames were counted, {one.frames} decode"
        for one in report.videos
        if one.frames != one.counted
    ]
    if report.undrawn:
        lines.append(f"  left undrawn: {report.undrawn} masks; the reasons are in logs.csv")
    if report.images_per_s:
        eta = "" if report.eta_s is None else f", about {_duration(report.eta_s)} left"
        lines.append(f"  speed: {report.images_per_s:.1f} images/s{eta}")
    if job.finished_at:
        lines.append(f"  took: {_duration(job.finished_at - job.started_at)}, seed {job.options.seed}")
    elif job.state == "running":
        lines.append(f"  running since: {_duration(time.time() - job.started_at)}, seed {job.options.seed}")
    lines += [f"  failed, {code}: {count}" for code, count in report.failures.items()]
    return lines


def _duration(seconds: float) -> str:
    minutes, rest = divmod(max(0.0, seconds), 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest:.0f} s" if minutes else f"{rest:.1f} s"
