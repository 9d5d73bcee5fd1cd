"""What a pool's main process loads must survive a fork, and be of use to the processes forked from it."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from common.weights import find

HEAD = """
import os, sys
from common.settings import read_settings
from workers.preloading import preload
"""


def run(program: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", HEAD + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="counts threads as Linux shows them")
def test_no_thread_runs_and_nothing_is_loaded_that_starts_some() -> None:
    program = """
        preload(read_settings(), ["detect", "augment"])
        print(len(os.listdir("/proc/self/task")), "cv2" in sys.modules, "onnxruntime" in sys.modules)
    """
    assert run(program) == "1 True False"


def test_a_forked_process_finds_the_predictor_open() -> None:
    """The file is spoilt by then: it cannot have been read again."""
    program = """
        import shutil, tempfile, pathlib
        from workers.landmarks import dlib68
        folder = pathlib.Path(tempfile.mkdtemp())
        copy = folder / "shape_predictor_68_face_landmarks.dat"
        shutil.copy(os.environ["PREDICTOR"], copy)
        preload(read_settings(models=folder), ["augment"])
        with copy.open("r+b") as stream:
            changed = copy.stat().st_mtime_ns
            stream.write(bytes(1000))
        os.utime(copy, ns=(changed, changed))
        child = os.fork()
        if child == 0:
            os._exit(0 if dlib68.open_dlib68(copy)._mean68.shape == (68, 2) else 1)
        status = os.waitpid(child, 0)[1]
        shutil.rmtree(folder)
        print(status)
    """
    assert run(program, PREDICTOR=str(find("dlib68"))) == "0"


def test_another_file_of_that_name_is_read_anew(tmp_path: Path) -> None:
    copy = tmp_path / "shape_predictor_68_face_landmarks.dat"
    copy.write_bytes(find("dlib68").read_bytes())
    program = """
        import pathlib
        from common.errors import UnfitError
        from workers.landmarks import dlib68
        copy = pathlib.Path(os.environ["COPY"])
        preload(read_settings(models=copy.parent), ["augment"])
        copy.write_bytes(b"no predictor")
        try:
            dlib68.open_dlib68(copy)
        except UnfitError as exc:
            print("no dlib shape predictor" in str(exc))
    """
    assert run(program, COPY=str(copy)) == "True"


@pytest.mark.parametrize("content", [None, b"broken"], ids=["missing", "broken"])
def test_a_model_that_cannot_be_loaded_is_left_to_the_job_that_needs_it(
    tmp_path: Path, content: bytes | None
) -> None:
    if content is not None:
        (tmp_path / "shape_predictor_68_face_landmarks.dat").write_bytes(content)
    program = """
        import pathlib
        preload(read_settings(models=pathlib.Path(os.environ["FOLDER"])), ["augment"])
        print("done")
    """
    assert run(program, FOLDER=str(tmp_path), XDG_CACHE_HOME=str(tmp_path)) == "done"
