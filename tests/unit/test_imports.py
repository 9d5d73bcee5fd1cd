"""Who may import whom, read from the source."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
ROOMS = ("common", "producer", "workers")
HEAVY = {"cv2", "onnxruntime", "dlib", "av"}


def modules() -> dict[str, Path]:
    found = {}
    for room in ROOMS:
        for path in (PROJECT / room).rglob("*.py"):
            parts = path.relative_to(PROJECT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(name: str, *, at_import_time: bool) -> Iterator[str]:
    """Modules that a module imports; type checking's and, where asked, those within functions are left out."""

    def walk(node: ast.AST) -> Iterator[str]:
        if at_import_time and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            return
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            module = node.module or ""
            for alias in node.names:
                longer = f"{module}.{alias.name}"
                yield longer if longer in MODULES else module
        for child in ast.iter_child_nodes(node):
            yield from walk(child)

    yield from walk(ast.parse(MODULES[name].read_text(encoding="utf-8")))


def rooms_of(room: str) -> dict[str, set[str]]:
    """Module → rooms it imports from, anywhere."""
    return {
        name: {one.split(".")[0] for one in imports(name, at_import_time=False)} & set(ROOMS)
        for name in MODULES
        if name.split(".")[0] == room
    }


def reached(name: str) -> set[str]:
    """Everything that importing a module imports, outside modules by their first name."""
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        for one in imports(waiting.pop(), at_import_time=True):
            key = one if one in MODULES else one.split(".")[0]
            if key not in seen:
                seen.add(key)
                if key in MODULES:
                    waiting.append(key)
    return seen


def test_the_foundation_imports_no_room() -> None:
    assert {
        name: rooms - {"common"} for name, rooms in rooms_of("common").items() if rooms - {"common"}
    } == {}


def test_workers_never_import_the_producer() -> None:
    assert [name for name, rooms in rooms_of("workers").items() if "producer" in rooms] == []


def test_no_import_goes_in_a_circle() -> None:
    graph = {name: set(imports(name, at_import_time=True)) & set(MODULES) for name in MODULES}
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path, name))
        if name not in done:
            for one in sorted(graph[name]):
                visit(one, (*path, name))
            done.add(name)

    for name in graph:
        visit(name, ())


@pytest.mark.parametrize("name", [name for name in MODULES if name.startswith("producer")])
def test_the_producer_imports_no_pixel_library(name: str) -> None:
    assert reached(name) & HEAVY == set()


def test_the_parent_of_the_workers_imports_no_pixel_library() -> None:
    """It forks, and what these start does not survive a fork."""
    assert reached("workers.app") & HEAVY == set()


def test_what_run_imports_before_it_works_is_light_in_truth() -> None:
    code = (
        "import sys\n"
        "import producer.commands.run, producer.local, producer.progress, producer.summary, workers.app\n"
        f"assert not {HEAVY!r} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=PROJECT)


def test_onnx_runtime_is_imported_in_one_place() -> None:
    """The one that keeps it from reporting to its makers."""
    found = [
        name
        for name in MODULES
        if any(one.split(".")[0] == "onnxruntime" for one in imports(name, at_import_time=False))
    ]
    assert found == ["workers.onnx_runtime"]


def test_package_files_are_empty() -> None:
    assert [
        name for name, path in MODULES.items() if path.name == "__init__.py" and path.stat().st_size
    ] == []


def test_no_module_is_called_like_one_of_the_standard_library_or_utils() -> None:
    stems = {path.stem for path in MODULES.values()} - {"__init__"}
    assert stems & {"utils", "util", "helpers", "misc"} == set()
    assert {path.stem for path in MODULES.values() if path.parent.parent == PROJECT} & {
        "logging",
        "queue",
    } == set()
