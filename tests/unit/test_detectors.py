import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from skimage import data

from benchmarks.truth import read_truth
from common.arrays import ImageBgr
from common.errors import UnfitError, UsageError
from common.weights import find
from tests.unit.test_graphs import save_doubler
from workers.detectors import centerface as centerface_module
from workers.detectors import centerface_graphs
from workers.detectors.base import Detection
from workers.detectors.boxes import iou
from workers.detectors.registry import open_detector

FACES = Path("../shared/faces")
needs_faces = pytest.mark.skipif(not FACES.is_dir(), reason="the shared photographs are not here")


def open_centerface(**options: Any) -> Any:
    given: dict[str, Any] = {"device": "cpu", "threads": 1, **options}
    return open_detector("centerface", find("centerface"), **given)


@pytest.fixture(scope="module")
def centerface() -> Any:
    return open_centerface()


@pytest.fixture(scope="module")
def astronaut() -> ImageBgr:
    return np.ascontiguousarray(data.astronaut()[..., ::-1])


def same(a: Detection, b: Detection) -> bool:
    assert a.points5 is not None
    assert b.points5 is not None
    pairs = ((a.boxes_xyxy, b.boxes_xyxy), (a.scores, b.scores), (a.points5, b.points5))
    return all(one.tobytes() == other.tobytes() for one, other in pairs)


def test_the_astronaut_has_one_face_where_one_sees_it(centerface: Any, astronaut: ImageBgr) -> None:
    (found,) = centerface.detect([astronaut])
    assert found.boxes_xyxy.shape == (1, 4)
    assert iou(found.boxes_xyxy, np.array([[175.0, 60, 270, 190]]))[0, 0] > 0.6
    # Read off the picture by eye: pupils, tip of the nose, corners of the mouth.
    seen = [(203, 101), (247, 103), (224, 127), (203, 140), (246, 140)]
    assert np.abs(found.points5[0] - seen).max() < 6
    assert found.scores[0] > 0.8


def test_stored_values_are_short(centerface: Any, astronaut: ImageBgr) -> None:
    (found,) = centerface.detect([astronaut])
    assert [len(repr(value).partition(".")[2]) <= 2 for value in found.boxes_xyxy.ravel().tolist()] == [
        True
    ] * 4
    assert len(repr(float(found.scores[0]))) <= 6


def test_no_face_gives_empty_arrays_and_no_images_no_detections(centerface: Any) -> None:
    (found,) = centerface.detect([np.zeros((50, 70, 3), dtype=np.uint8)])
    assert (found.boxes_xyxy.shape, found.scores.shape, found.points5.shape) == ((0, 4), (0,), (0, 5, 2))
    assert len(found) == 0
    assert centerface.detect([]) == []


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 2000, 3), (3000, 2, 3), (31, 33, 3)])
def test_odd_sizes_do_no_harm(centerface: Any, shape: tuple[int, int, int]) -> None:
    assert len(centerface.detect([np.full(shape, 128, dtype=np.uint8)])[0]) == 0


def test_a_face_in_the_far_corner_of_a_large_picture_is_found_there(
    centerface: Any, astronaut: ImageBgr
) -> None:
    image = np.zeros((3000, 4000, 3), dtype=np.uint8)
    big = cv2.resize(astronaut[0:300, 100:400], (900, 900))
    image[2100:, 3100:] = big
    (found,) = centerface.detect([image])
    assert len(found) == 1
    assert (found.boxes_xyxy[0, :2] > (3100, 2100)).all()
    assert (found.boxes_xyxy[0, 2:] <= (4000, 3000)).all()


def test_a_box_never_leaves_the_image(centerface: Any, astronaut: ImageBgr) -> None:
    cut = np.ascontiguousarray(astronaut[90:, 195:])
    (found,) = centerface.detect([cut])
    for x1, y1, x2, y2 in found.boxes_xyxy:
        assert 0 <= x1 < x2 <= cut.shape[1]
        assert 0 <= y1 < y2 <= cut.shape[0]


def test_what_an_image_gives_depends_on_neither_batch_nor_threads(astronaut: ImageBgr) -> None:
    images = [
        astronaut,
        np.ascontiguousarray(astronaut[:, ::-1]),
        np.ascontiguousarray(astronaut[:200, 100:350]),
        np.zeros_like(astronaut),
        np.ascontiguousarray(astronaut[::2, ::2]),
    ]
    alone = [open_centerface(batch=1).detect([image])[0] for image in images]
    assert sum(len(found) for found in alone) >= 4
    for batch, threads in ((1, 2), (4, 1), (16, 2)):
        together = open_centerface(batch=batch, threads=threads).detect([*images, *images[::-1]])
        for one, other in zip([*alone, *alone[::-1]], together, strict=True):
            assert same(one, other)


@needs_faces
@pytest.mark.parametrize("side", [320, 640])
def test_all_43_faces_of_the_photographs_are_found_and_none_more(side: int) -> None:
    detector = open_centerface(side=side)
    found = every = 0
    for path in FACES.glob("*_with_face_landmarks.xml"):
        for image in ElementTree.parse(path).getroot().iter("image"):
            boxes = [
                [float(box.attrib[key]) for key in ("left", "top", "width", "height")]
                for box in image.iter("box")
            ]
            truth = np.array(boxes)
            truth[:, 2:] += truth[:, :2]
            (faces,) = detector.detect([cv2.imread(str(FACES / image.attrib["file"]))])
            found += int((iou(truth, faces.boxes_xyxy).max(axis=1) >= 0.4).sum())
            every += len(faces)
    assert (found, every) == (43, 43)


@needs_faces
def test_dogs_have_no_face(centerface: Any) -> None:
    assert len(centerface.detect([cv2.imread(str(FACES / "dogs.jpg"))])[0]) == 0


def test_another_network_is_no_centerface(tmp_path: Path) -> None:
    with pytest.raises(UnfitError, match=r"no CenterFace.*got y"):
        open_detector(
            "centerface", save_doubler(tmp_path / "m.onnx", [1, 3, 32, 32]), device="cpu", threads=1
        )


def test_an_unknown_detector_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="centerface, rfb"):
        open_detector("haar", tmp_path / "m.onnx", device="cpu", threads=1)


def test_a_network_with_the_right_names_and_wrong_answers_is_unfit(tmp_path: Path) -> None:
    shape = [1, 3, 32, 32]
    names = ["537", "538", "539", "540"]
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], [name]) for name in names],
        "names",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names],
    )
    path = tmp_path / "names.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    with pytest.raises(
        UnfitError, match=r"names\.onnx does not run as a CenterFace: its answers have the shapes"
    ):
        open_detector("centerface", path, device="cpu", threads=1)


@pytest.fixture(scope="module")
def kept_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize(
    ("features", "precision"), [({"fma", "avx2"}, "int8"), ({"asimd"}, "fp32"), (set(), "fp32")]
)
def test_the_default_on_the_cpu_is_what_is_known_to_be_quick_there(
    features: set[str], precision: str, astronaut: ImageBgr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(centerface_graphs, "cpu_features", lambda: frozenset(features))
    default, named = open_centerface(cache_dir=tmp_path), open_centerface(precision=precision)
    assert default.provider == named.provider == {"int8": "CPU int8", "fp32": "CPU"}[precision]
    assert same(named.detect([astronaut])[0], default.detect([astronaut])[0])


def test_the_default_for_another_file_is_the_float_graph(tmp_path: Path) -> None:
    path = tmp_path / "trained-further.onnx"
    model = onnx.load(find("centerface"))
    model.doc_string = "trained further"
    onnx.save(model, path)
    assert open_detector("centerface", path, device="cpu", threads=1).provider == "CPU"


def test_ranges_that_do_not_fit_the_folded_graph_are_measured_anew(
    astronaut: ImageBgr, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    real = open_centerface(precision="int8")
    known = json.loads(centerface_graphs.KNOWN_RANGES.read_text())
    (tmp_path / "few.json").write_text(json.dumps(dict(list(known.items())[:9])))
    monkeypatch.setattr(centerface_graphs, "KNOWN_RANGES", tmp_path / "few.json")
    monkeypatch.setattr(centerface_graphs, "ranges_of", lambda graph: known)
    assert same(open_centerface(precision="int8").detect([astronaut])[0], real.detect([astronaut])[0])
    assert "measured anew" in caplog.text


@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_a_precision_is_told_with_the_provider_and_finds_the_same_face(
    astronaut: ImageBgr, precision: str, kept_cache: Path
) -> None:
    floats = open_centerface(precision="fp32")
    other = open_centerface(precision=precision, cache_dir=kept_cache)
    assert other.provider == f"CPU {precision}"
    (wanted,), (found,) = floats.detect([astronaut]), other.detect([astronaut])
    assert not same(wanted, found), "it is the float graph"
    assert iou(wanted.boxes_xyxy, found.boxes_xyxy).diagonal().min() > 0.9
    assert abs(wanted.scores[0] - found.scores[0]) < 0.05
    # Open again: from what is kept.
    assert same(open_centerface(precision=precision, cache_dir=kept_cache).detect([astronaut])[0], found)


def test_warming_up_runs_a_full_batch_and_learns_what_memory_allows() -> None:
    detector = open_centerface(batch=4, side=64)
    seen: list[tuple[int, ...]] = []
    real = detector._runner._feeder.run

    def run(array: Any) -> Any:
        seen.append(array.shape)
        if len(array) > 2:
            raise RuntimeError("CUDA failure 2: out of memory")
        return real(array)

    detector._runner._feeder.run = run
    detector.warm_up()
    assert seen == [(4, 3, 64, 64), (2, 3, 64, 64), (2, 3, 64, 64)]
    assert detector.batch == 2


@needs_faces
@pytest.mark.parametrize("precision", ["fp16", "int8"])
def test_recall_on_photographs_is_that_of_floats(precision: str, kept_cache: Path) -> None:
    detector = open_centerface(precision=precision, cache_dir=kept_cache)
    truths = read_truth(FACES)
    found = 0
    for name, truth in truths.items():
        image = np.asarray(cv2.imread(str(FACES / name)), np.uint8)
        overlap = iou(truth.boxes_xyxy, detector.detect([image])[0].boxes_xyxy)
        found += int((overlap.max(axis=1, initial=0) >= 0.4).sum())
    # Floats find all: docs/performance.md. Half a point of 43 is less than one face.
    assert found == sum(len(truth.boxes_xyxy) for truth in truths.values()) == 43


def test_integers_are_refused_on_a_gpu_that_is_asked_for() -> None:
    with pytest.raises(UnfitError, match=r"int8 runs on the CPU, not on cuda:0; use fp16"):
        open_centerface(device="cuda:0", precision="int8")


def test_a_gpu_that_does_not_start_leaves_the_graph_of_the_cpu(
    astronaut: ImageBgr, centerface: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    real = centerface_module.open_network

    def open_network(path: Path, *, device: str, variant: Any, **rest: Any) -> Any:
        opened.append(f"{device} {variant and variant.name}")
        return real(path, device="cpu", variant=variant, **rest)

    monkeypatch.setattr(centerface_module, "is_for_cpu", lambda device: device == "cpu")
    monkeypatch.setattr(centerface_module, "open_network", open_network)
    detector = open_centerface(device="auto")
    usual = centerface.provider.removeprefix("CPU").strip()
    assert opened == ["auto fp16 1 True", {"int8": "cpu int8 2 3", "": "cpu heads 1"}[usual]]
    assert detector.provider == centerface.provider
    assert same(detector.detect([astronaut])[0], centerface.detect([astronaut])[0])


@pytest.mark.parametrize("precision", ["auto", "fp16"])
def test_sixteen_bits_that_give_no_numbers_are_found_out_at_the_start(
    precision: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The CPU computes in 32 bits between: the overflow of a GPU is put in its place.
    class Loud(centerface_module.CenterFace):
        def try_out(self) -> bool:
            runner = self._runner
            if self.provider.endswith("fp16"):
                real = runner.run
                monkeypatch.setattr(
                    runner, "run", lambda items: ([part * np.inf for part in one] for one in real(items))
                )
            return super().try_out()

    warmed: list[int] = []
    monkeypatch.setattr(Loud, "warm_up", lambda self: warmed.append(self.batch))
    monkeypatch.setattr(centerface_module, "CenterFace", Loud)
    monkeypatch.setattr(centerface_module, "is_for_cpu", lambda device: device == "cpu")
    monkeypatch.setattr(centerface_module, "provider_of", lambda _: "CUDA")
    real_open = centerface_module.open_network
    monkeypatch.setattr(
        centerface_module, "open_network", lambda path, **rest: real_open(path, **{**rest, "device": "cpu"})
    )
    if precision == "auto":
        with np.errstate(invalid="ignore"):
            assert open_centerface(device="auto").provider == "CUDA"
        assert warmed == [16], "a full batch, once"
    else:
        with (
            np.errstate(invalid="ignore"),
            pytest.raises(UnfitError, match="in fp16 its answers are no numb"),
        ):
            open_centerface(device="auto", precision=precision)
