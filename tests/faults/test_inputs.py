"""Inputs that are hostile, or change between the plan and the work."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from tests.bad_images import CORPUS, content, write_corpus
from tests.faults.pictures import write_photographs
from tests.faults.trial import MANY, Expected, Trial


@pytest.mark.parametrize("good", [20, pytest.param(MANY, marks=pytest.mark.soak)])
def test_f14_hostile_inputs_get_one_row_each_and_disturb_no_other(
    make_trial: Callable[..., Trial], tmp_path: Path, good: int
) -> None:
    pictures = write_photographs(tmp_path / "in", good)
    folder = pictures / "hostile"
    folder.mkdir()
    write_corpus(os.fsencode(folder))
    # What is no file is passed over by a search and refused in a list: those come when all is planned.
    root = os.fsencode(folder)
    later = {
        name: entry
        for name, entry in CORPUS.items()
        if not os.path.isfile(os.path.join(root, entry.file_name))
    }
    shutil.rmtree(folder)
    folder.mkdir()
    names = []
    for name, entry in CORPUS.items():
        write = content(b"a file as yet") if name in later else entry.write
        with contextlib.suppress(OSError):
            write(os.path.join(root, entry.file_name))
            names.append(entry.file_name)
    lines = [*names, *(os.fsencode(path.name) for path in pictures.glob("*.jpg"))]
    trial = make_trial(Expected(pictures, len(lines)))
    cluster = trial.cluster
    cluster.enqueue(pictures)
    for entry in later.values():
        os.unlink(os.path.join(root, entry.file_name))
        entry.write(os.path.join(root, entry.file_name))
    cluster.start_worker()
    start = time.monotonic()
    peak = 0
    while cluster.job_state() != "done" and time.monotonic() - start < 300:
        for child in cluster.children():
            try:
                peak = max(peak, child.memory_info().rss)
            except psutil.Error:
                continue
        time.sleep(0.1)
    cluster.wait_done()
    rows = cluster.rows("SELECT relative_path, status, error_code FROM images")
    found = {bytes(path): (status, code) for path, status, code in rows}
    assert len(found) == len(lines)
    wrong = {}
    for name, entry in CORPUS.items():
        if entry.file_name not in names:
            continue
        status, code = found[b"hostile/" + entry.file_name]
        wanted = None if entry.code == "forbidden" and os.geteuid() == 0 else entry.code
        if code != wanted:
            wrong[name] = (status, code, entry.code)
    assert wrong == {}
    assert sum(found[os.fsencode(path.name)][0] == "done" for path in pictures.glob("*.jpg")) == good
    codes = Counter(code for _, code in found.values() if code)
    findings = trial.end(
        "F14",
        "hostile inputs among good ones",
        codes=codes,
        is_swept=True,
        disturbances=f"{len(names)} inputs",
        notes=f"{', '.join(f'{code} {count}' for code, count in sorted(codes.items()))}; "
        f"peak {peak >> 20} MiB a child",
    )
    assert findings.beyond_ideal == 0


@pytest.mark.soak
def test_f15_files_that_vanish_or_change_after_the_plan_say_so(
    make_trial: Callable[..., Trial], tmp_path: Path
) -> None:
    count, each = 400, 20
    pictures = write_photographs(tmp_path / "in", count)
    trial = make_trial(Expected(pictures, count))
    trial.cluster.enqueue(pictures)
    paths = sorted(pictures.glob("*.jpg"))
    for path in paths[:each]:
        path.unlink()
    for path in paths[each : 2 * each]:
        shutil.copy(paths[-1], path)
    for path in paths[2 * each : 3 * each]:
        path.chmod(0)
    trial.cluster.start_worker()
    wanted = {"vanished": each, "changed": each}
    if os.geteuid() != 0:
        wanted["forbidden"] = each
    findings = trial.end(
        "F15",
        "files deleted and replaced after the plan",
        codes=wanted,
        is_swept=True,
        disturbances=f"2 × {each} files",
        notes=", ".join(f"{code} {n}" for code, n in sorted(wanted.items())),
    )
    assert findings.states["done"] == count - sum(wanted.values())
