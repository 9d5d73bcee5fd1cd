"""What must be true of every output, in whatever way it came about.

Rebuilt with plain SQL and the standard library, so that it shares no mistake with the product.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import unicodedata
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image
from sqlalchemy import create_engine, text

FINAL = {"done", "missed", "failed"}
_NOT_ARTIFACTS = re.compile(rb"logs\.csv|missed_images\.txt|maskmill\.db(-wal|-shm)?|segmentations_.*\.json")
_CHECKED = [
    "image_path",
    "mask_type",
    "mask_color",
    "error",
    "output_path",
    "status",
    "augmentation",
    "face_index",
    "crop_style",
    "mask_y_offset",
    "mask_rotation_angle",
    "attempts",
    "seed",
    "width",
    "height",
    "size",
    "sha256",
]


@dataclass
class Facts:
    """What an output holds, by relative path (bytes): image rows, artifact rows and mask rows."""

    job: dict[str, Any]
    images: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    artifacts: dict[bytes, list[dict[str, Any]]] = field(default_factory=dict)
    masks: dict[bytes, list[dict[str, Any]]] = field(default_factory=dict)
    order: list[bytes] = field(default_factory=list)
    shown: dict[bytes, str] = field(default_factory=dict)

    @property
    def states(self) -> Counter[str]:
        """How many images are in each state."""
        return Counter(row["status"] for row in self.images.values())


def read_facts(out: Path, database_url: str | None = None) -> Facts:
    """All rows of the job of an output."""
    url = (database_url or f"sqlite:///{out}/maskmill.db").replace("postgresql://", "postgresql+psycopg://")
    engine = create_engine(url)
    try:
        with engine.connect() as connection:

            def ask(query: str, **values: Any) -> list[dict[str, Any]]:
                rows = connection.execute(text(query), values).mappings()
                return [
                    {k: bytes(v) if isinstance(v, memoryview) else v for k, v in row.items()} for row in rows
                ]

            jobs = ask("SELECT * FROM jobs WHERE output = :output", output=os.path.realpath(os.fsencode(out)))
            assert len(jobs) == 1, f"one job per output, got {len(jobs)}"
            facts = Facts(jobs[0])
            if isinstance(facts.job["options"], str):
                facts.job["options"] = json.loads(facts.job["options"])
            paths = {}
            for given in ask("SELECT * FROM inputs WHERE job_id = :j ORDER BY position", j=facts.job["id"]):
                images = ask("SELECT * FROM images WHERE input_id = :i", i=given["id"])
                for image in sorted(images, key=lambda row: row["relative_path"]):
                    path = image["relative_path"]
                    below = path[len(given["prefix"]) :].lstrip(b"/") if given["prefix"] else path
                    facts.images[path] = image
                    facts.order.append(path)
                    facts.shown[path] = escaped(image["written"] or os.path.join(given["given"], below))
                    paths[image["id"]] = path
            for name, into in (("artifacts", facts.artifacts), ("masks", facts.masks)):
                for row in ask(f"SELECT * FROM {name} ORDER BY id"):
                    if row["image_id"] in paths:
                        into.setdefault(paths[row["image_id"]], []).append(row)
    finally:
        engine.dispose()
    return facts


def check(out: Path, database_url: str | None = None) -> Facts:
    """Assert everything that holds for the output of a job that ended."""
    facts = read_facts(out, database_url)
    assert facts.job["state"] == "done", facts.job["error"]
    open_images = {path: row["status"] for path, row in facts.images.items() if row["status"] not in FINAL}
    assert not open_images, f"not in a final state: {open_images}"
    for path, image in facts.images.items():
        assert image["claimed_by"] is None, f"{path!r} is still claimed"
        assert bool(image["error_code"]) == (image["status"] == "failed"), f"{path!r}: {image}"
        if image["status"] == "missed":
            assert path not in facts.artifacts, f"{path!r} is missed and has files"
    recorded = {row["path"]: row for rows in facts.artifacts.values() for row in rows}
    assert len(recorded) == sum(map(len, facts.artifacts.values())), "two artifacts with one path"
    files = tree(out)
    assert set(files) == set(recorded), (
        f"missing: {sorted(set(recorded) - set(files))[:5]}, extra: {sorted(set(files) - set(recorded))[:5]}"
    )
    for path, row in recorded.items():
        data = _read(out, path)
        assert (len(data), hashlib.sha256(data).hexdigest()) == (row["size"], row["sha256"]), path
        with Image.open(io.BytesIO(data)) as picture:
            picture.load()
            assert picture.format == {b".png": "PNG", b".jpg": "JPEG", b".tif": "TIFF"}[path[-4:]], path
    check_logs(out, facts)
    return facts


def check_logs(out: Path, facts: Facts) -> None:
    """Assert that logs.csv and missed_images.txt say what SQL says, in input order."""
    with open(out / "logs.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    wanted = [(facts.shown[path], _expected_rows(facts, path)) for path in facts.order]
    groups = [(shown, expected) for shown, expected in wanted if expected]
    at = 0
    for shown, expected in groups:
        found = rows[at : at + len(expected)]
        at += len(expected)
        assert [row["image_path"] for row in found] == [shown] * len(expected)
        assert Counter(map(_comparable, found)) == Counter(map(_comparable, expected)), shown
    assert at == len(rows), f"rows too many: {rows[at:][:3]}"
    missed = [facts.shown[path] for path in facts.order if facts.images[path]["status"] == "missed"]
    listed = out / "missed_images.txt"
    assert listed.exists() == bool(missed)
    if missed:
        assert listed.read_text(encoding="utf-8").split("\n") == [*missed, ""]


def tree(out: Path) -> dict[bytes, str]:
    """Relative path → sha256 of every file but logs and database; temporary and hidden files show.

    A PNG is hashed as its chunks with the pixels inflated: ISA-L packed one in some 20,000 otherwise than before.
    """
    found = {}
    root = os.fsencode(out)
    for folder, _, names in os.walk(root):
        for name in names:
            path = os.path.relpath(os.path.join(folder, name), root)
            if not _NOT_ARTIFACTS.fullmatch(path):
                found[path] = hashlib.sha256(_inflated(_read(out, path))).hexdigest()
    return found


def _inflated(data: bytes) -> bytes:
    """What a PNG holds, chunk after chunk, its pixels inflated; any other file as it is."""
    if not data.startswith(b"\x89PNG\r\n\x1a\n"):
        return data
    parts, pixels, at = [], b"", 8
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        content = data[at + 8 : at + 8 + size]
        if kind == b"IDAT":
            pixels += content
        else:
            parts.append(kind + content)
        at += 12 + size
    return b"".join([*parts, zlib.decompress(pixels)])


def tree_hash(out: Path) -> str:
    """One hash over all artifacts, names and bytes."""
    return hashlib.sha256(repr(sorted(tree(out).items())).encode()).hexdigest()


def mtimes(out: Path) -> dict[bytes, int]:
    """Relative path → mtime in ns of every artifact."""
    return {path: os.stat(os.path.join(os.fsencode(out), path)).st_mtime_ns for path in tree(out)}


def escaped(path: bytes) -> str:
    r"""Bytes as the spec writes them: `\xNN` for what is no UTF-8 and for controls, `\\` for a backslash."""
    shown = ""
    for char in path.decode("utf-8", "surrogateescape"):
        if char == "\\":
            shown += "\\\\"
        elif "\udc80" <= char <= "\udcff" or unicodedata.category(char) in ("Cc", "Zl", "Zp"):
            shown += "".join(f"\\x{byte:02x}" for byte in char.encode("utf-8", "surrogateescape"))
        else:
            shown += char
    return shown


def _expected_rows(facts: Facts, path: bytes) -> list[dict[str, Any]]:
    image, options = facts.images[path], facts.job["options"]
    common = {
        "image_path": facts.shown[path],
        "seed": options["seed"],
        **{name: image[name] for name in ("status", "attempts", "width", "height")},
    }
    rows: list[dict[str, Any]] = []
    masks = sorted(facts.masks.get(path, []), key=lambda mask: (mask["variant"], mask["face_index"]))
    if image["status"] == "missed":
        rows.append(common)
    elif image["status"] == "failed":
        rows.append({**common, "error": f"{image['error_code']}: {image['error_message']}"})
    for artifact in facts.artifacts.get(path, []):
        index = artifact["face_index"]
        drawn = [
            mask
            for mask in masks
            if (mask["variant"], mask["reason"]) == (artifact["variant"], None)
            and index in (None, mask["face_index"])
        ]
        row = {
            **common,
            "output_path": escaped(os.path.join(facts.job["output_given"], artifact["path"])),
            "augmentation": artifact["variant"],
            **{name: artifact[name] for name in ("face_index", "crop_style", "size", "sha256")},
        }
        for column, name in (
            ("mask_type", "mask_type"),
            ("mask_color", "mask_color"),
            ("mask_y_offset", "y_offset"),
            ("mask_rotation_angle", "rotation_angle"),
        ):
            values = [mask[name] for mask in drawn]
            if options["mask_per_face"] and len(values) > 1:
                row[column] = json.dumps(values, separators=(",", ":"))
            elif values:
                row[column] = values[0]
        rows.append(row)
    rows += [
        {
            **common,
            "error": f"undrawn: {mask['reason']}: {mask['message']}",
            "augmentation": mask["variant"],
            "face_index": mask["face_index"],
        }
        for mask in masks
        if mask["reason"]
    ]
    return rows


def _comparable(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple("" if row.get(name) is None else str(row[name]) for name in _CHECKED)


def _read(out: Path, path: bytes) -> bytes:
    with open(os.path.join(os.fsencode(out), path), "rb") as stream:
        return stream.read()
