"""What `maskmill models pull` can fetch: the registry's files with an address, and a user's own manifest."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from common.errors import UsageError
from common.weights import MODELS
from producer.pull.unpack import without_packing

_FIELDS = ("name", "use", "address", "sha256", "size", "licence")
_OPTIONAL = ("file", "member")


@dataclass(frozen=True)
class Entry:
    """One file that can be fetched.

    Attributes:
        address: http or https.
        sha256: of the file as it lies on the disk, unpacked; lower case.
        size: of the same, bytes.
        file: its name in the cache.
        member: which member of an archive it is; None takes the one named `file`.
    """

    name: str
    use: str
    address: str
    sha256: str
    size: int
    licence: str
    file: str
    member: str | None = None


def entries(manifest: Path | None) -> dict[str, Entry]:
    """Everything that can be fetched, by name; an entry of the user's stands for one of ours of that name.

    Raises:
        UsageError: the manifest cannot be read, or an entry is impossible; names it.
    """
    return {**_known(), **({} if manifest is None else read_manifest(manifest))}


def chosen(names: Sequence[str], manifest: Path | None) -> list[Entry]:
    """The entries of these names.

    Raises:
        UsageError: there is none of such a name, or no public address is known for it.
    """
    known = entries(manifest)
    for name in names:
        if name not in known and name in MODELS:
            raise UsageError(
                f"no public address is known for the model {name}: {MODELS[name].mend}, "
                "or give a manifest with its address (--manifest)"
            )
        if name not in known:
            raise UsageError(f"no model is called {name}; known are {', '.join(known)}")
    return [known[name] for name in dict.fromkeys(names)]


def read_manifest(path: Path) -> dict[str, Entry]:
    """Read a user's manifest: TOML with `[[model]]` tables, or JSON with a list `model`.

    Raises:
        UsageError: it cannot be read, or an entry is impossible; names it.
    """
    try:
        text = path.read_text(encoding="utf-8")
        tables = (json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text))["model"]
    except OSError as exc:
        raise UsageError(f"--manifest {path}: it cannot be read ({exc.strerror})") from exc
    except (ValueError, KeyError, TypeError) as exc:
        raise UsageError(f"--manifest {path}: expected TOML or JSON with a list `model` ({exc!r})") from exc
    if not isinstance(tables, list):
        raise UsageError(f"--manifest {path}: expected a list `model`, got {type(tables).__name__}")
    found = [_entry(table, f"--manifest {path}, model {number}") for number, table in enumerate(tables, 1)]
    names = [one.name for one in found]
    if len(set(names)) < len(names):
        raise UsageError(f"--manifest {path}: two models have one name")
    return {one.name: one for one in found}


def _known() -> dict[str, Entry]:
    found = {}
    for model in MODELS.values():
        file = model.pullable
        if file is not None and file.address and file.sha256 and file.size:
            found[model.name] = Entry(
                model.name, model.use, file.address, file.sha256, file.size, model.licence, file.name
            )
    return found


def _entry(table: object, where: str) -> Entry:
    if not isinstance(table, dict):
        raise UsageError(f"{where}: expected a table, got {table!r}")
    unknown = sorted(set(table) - {*_FIELDS, *_OPTIONAL})
    missing = [name for name in _FIELDS if name not in table]
    if unknown or missing:
        raise UsageError(
            f"{where}: needs {', '.join(_FIELDS)} and may have {', '.join(_OPTIONAL)}; "
            f"missing: {', '.join(missing) or 'none'}, unknown: {', '.join(unknown) or 'none'}"
        )
    texts = {name: table[name] for name in table if name != "size"}
    if not all(isinstance(value, str) and value for value in texts.values()):
        raise UsageError(f"{where}: every field but size must be a text that is not empty")
    address, sha256, size = texts["address"], texts["sha256"].lower(), table["size"]
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{where}: address must be http:// or https://, got {address!r}")
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise UsageError(f"{where}: sha256 must be 64 hexadecimal digits, got {texts['sha256']!r}")
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise UsageError(f"{where}: size must be a number of bytes, got {size!r}")
    file = texts.get("file") or without_packing(unquote(parts.path).rpartition("/")[2])
    if not re.fullmatch(r"[^/\\\0-\x1f.][^/\\\0-\x1f]{0,199}", file):
        raise UsageError(f"{where}: file must be a plain name, got {file!r}")
    return Entry(
        texts["name"], texts["use"], address, sha256, size, texts["licence"], file, texts.get("member")
    )
