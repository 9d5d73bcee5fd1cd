"""Faults inside a process of maskmill, asked for by MASKMILL_TEST_FAULT; the product has no hook of its own.

Python imports this module by itself when its folder is on PYTHONPATH. The variable holds a JSON list of
faults, each with

- `point`: a step of the work, see `_POINTS`; or `import`, of `module`, in workers only (`exit`, `crash`, `broken`)
- `when`: `before` or `after` that step
- `do`: see `_Fault.act`
- `width`: only for a picture this many pixels wide (`decode` only)
- `times`: so often over all processes together (counted by files in `folder`); without it always
- `skip`: so many calls of each process pass first
- `file`: of `no-space`, that lasts while it is there; of `hold`, that lasts until it is there
- `processes`: how many have to come to the point before any goes on (`meet` only; marks lie in `folder`)
"""

from __future__ import annotations

import contextlib
import errno
import importlib.abc
import json
import os
import signal
import sys
import time

_POINTS = {
    "decode": ("common.images", "decode_reduced"),
    "write": ("common.temporaries", "write_all"),
    "sync": ("common.temporaries", "sync_file_systems"),
    "rename": ("common.atomic_writer", "os"),
    "detected": ("common.ledger.results", "store_detections"),
    "store": ("common.ledger.results", "store_augmented"),
    "send": ("common.broker", "send"),
    "ack": ("workers.app", "_work"),
    "logs": ("producer.export", "write_logs"),
    "record": ("common.ledger.images", "record_images"),
}


class _Fault:
    """One fault, and how often it may still happen."""

    def __init__(self, given):
        self.point = given["point"]
        self.when = given.get("when", "before")
        self.do = given["do"]
        self.width = given.get("width")
        self.times = given.get("times")
        self.folder = given.get("folder")
        self.skip = given.get("skip", 0)
        self.seconds = given.get("seconds", 0)
        self.bytes = given.get("bytes", 0)
        self.file = given.get("file")
        self.processes = given.get("processes")
        self.module = given.get("module")

    def is_due(self, answer):
        """This call is one that should go wrong."""
        if self.width is not None and (answer is None or answer.width != self.width):
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        return self.times is None or self._counts()

    def _counts(self):
        for number in range(self.times):
            with contextlib.suppress(FileExistsError):
                os.close(os.open(os.path.join(self.folder, f"{self.point}-{number}"), os.O_CREAT | os.O_EXCL))
                return True
        return False

    def act(self):
        """Do it."""
        if self.do == "exit":
            os._exit(1)
        elif self.do == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        elif self.do == "broken":
            raise ImportError(f"{self.module} is broken")
        elif self.do == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.do == "kill-all":
            # The main process first, so that it cannot take note of the death of its child.
            os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.do == "sleep":
            time.sleep(self.seconds)
        elif self.do == "meet":
            self._meet()
        elif self.do == "hold":
            while not os.path.exists(self.file):
                time.sleep(0.02)
        elif self.do == "allocate":
            import numpy as np

            np.ones(self.bytes, np.uint8)
        elif self.do == "no-space" and os.path.exists(self.file):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _meet(self):
        with open(os.path.join(self.folder, f"met-{os.getpid()}"), "w"):
            pass
        end = time.monotonic() + 80  # not for ever: the test then sees too few processes and says so
        while len(os.listdir(self.folder)) < self.processes and time.monotonic() < end:
            time.sleep(0.02)


def _wrapped(original, faults):
    repeats = 3 if any(fault.do == "thrice" for fault in faults) else 1

    def step(*arguments, **named):
        for fault in faults:
            if fault.when == "before" and fault.is_due(None):
                fault.act()
        for _ in range(repeats):
            answer = original(*arguments, **named)
        for fault in faults:
            if fault.when == "after" and fault.is_due(answer):
                fault.act()
        return answer

    return step


class _OsWithOneChange:
    """The module `os` with another `replace`."""

    def __init__(self, replace):
        self.replace = replace

    def __getattr__(self, name):
        return getattr(os, name)


class _Finder(importlib.abc.MetaPathFinder):
    """Changes the modules of `_POINTS` right after they are imported."""

    def __init__(self, faults):
        self._faults = {}
        for fault in faults:
            module, attribute = _POINTS[fault.point]
            self._faults.setdefault(module, {}).setdefault(attribute, []).append(fault)

    def find_spec(self, name, path, target=None):
        """The spec that the others find, its loader wrapped."""
        if name not in self._faults:
            return None
        for finder in sys.meta_path:
            if finder is not self and (spec := finder.find_spec(name, path, target)) is not None:
                spec.loader.exec_module = self._with_changes(spec.loader.exec_module)
                return spec
        return None

    def _with_changes(self, run):
        def exec_module(module):
            run(module)
            self._change(module)

        return exec_module

    def _change(self, module):
        for attribute, faults in self._faults[module.__name__].items():
            if attribute == "os":
                setattr(module, attribute, _OsWithOneChange(_wrapped(os.replace, faults)))
            else:
                setattr(module, attribute, _wrapped(getattr(module, attribute), faults))


class _BrokenImports(importlib.abc.MetaPathFinder):
    """Does something where a module is looked for."""

    def __init__(self, faults):
        self._faults = {fault.module: fault for fault in faults}

    def find_spec(self, name, path, target=None):
        """Nothing: others find what is not broken."""
        if name in self._faults:
            self._faults[name].act()


if os.environ.get("MASKMILL_TEST_FAULT"):
    _faults = [_Fault(given) for given in json.loads(os.environ["MASKMILL_TEST_FAULT"])]
    sys.meta_path.insert(0, _Finder([fault for fault in _faults if fault.point != "import"]))
    if "worker" in sys.orig_argv:
        sys.meta_path.insert(0, _BrokenImports([fault for fault in _faults if fault.point == "import"]))
