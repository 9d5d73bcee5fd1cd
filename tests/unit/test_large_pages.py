"""Large pages are asked for once, and only where nobody has set anything."""

from __future__ import annotations

import subprocess
import sys

import pytest

from common.large_pages import ask_for_large_pages

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="Linux with glibc")


def test_they_are_asked_for_once() -> None:
    environment = {"HOME": "/"}
    assert ask_for_large_pages(environment)
    assert environment == {"HOME": "/", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
    assert not ask_for_large_pages(environment)


def test_what_somebody_has_set_stays() -> None:
    environment = {"GLIBC_TUNABLES": "glibc.malloc.check=1"}
    assert not ask_for_large_pages(environment)
    assert environment == {"GLIBC_TUNABLES": "glibc.malloc.check=1"}


def test_a_process_begins_again_as_itself() -> None:
    code = (
        "import os, sys; print(os.getpid(), os.environ.get('GLIBC_TUNABLES'), sys.argv[1:], flush=True); "
        "from common.large_pages import begin_again_with_large_pages as again; again(); print('on')"
    )
    environment = {"PYTHONPATH": ":".join(sys.path)}
    answer = subprocess.run(
        [sys.executable, "-c", code, "a b", "--c"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    first, second, last = answer.stdout.splitlines()
    pid, tunables, rest = first.split(" ", 2)
    assert (tunables, rest, last) == ("None", "['a b', '--c']", "on")
    assert second == f"{pid} glibc.malloc.hugetlb=1 ['a b', '--c']"
