"""Draw the look book: every kind x pose x light on one page each: `python -m benchmarks.lookbook [OUT]`.

On `skimage.data.astronaut()` and on heads made of arithmetic the pages are public, and `--docs` writes them
to docs/pictures. Pages of FACES, photographs with ground truth, go to OUT only, which git ignores.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import skimage.data

from benchmarks.truth import read_truth
from common.arrays import FloatArray, ImageBgr
from common.chance import rng_for
from common.errors import UndrawableFace
from common.kinds import KINDS, WEARS, MaskKind
from tests.unit.test_masks_draw import ASTRONAUT
from tests.unit.test_masks_mesh import skin_image, turned_face
from workers.masks.draw import draw
from workers.masks.frame import read_frame
from workers.masks.spec import MaskSpec

DOCS = Path(__file__).parent.parent / "docs" / "pictures"
TILE_PX, FACES_PER_TILE = 200, 3.5
JPEG_QUALITY, LARGEST_BYTES = 82, 500_000
LIGHTS = ("plain", "from the left", "from the right", "from above", "dim and warm")
POSES = ((0, 0), (-30, 0), (30, 0), (-60, 0), (60, 0), (0, 20), (0, -20), (25, 15))
SKIN = (130, 150, 205)


def relit(image_bgr: ImageBgr, landmarks: FloatArray, light: str) -> ImageBgr:
    """Return the photograph as if the light came from elsewhere."""
    frame = read_frame(landmarks)
    y, x = np.mgrid[: image_bgr.shape[0], : image_bgr.shape[1]]
    places = np.stack([x, y], axis=-1)
    across, along = frame.across(places) / frame.unit, frame.along(places) / frame.unit
    factors = {
        "plain": np.ones_like(across),
        "from the left": np.interp(across, (-1, 1), (1.05, 0.35)),
        "from the right": np.interp(across, (-1, 1), (0.35, 1.05)),
        "from above": np.interp(along, (-0.6, 1.9), (1.1, 0.5)),
        "dim and warm": 0.4 * np.ones_like(across),
    }
    tint = np.array([0.65, 0.95, 1.15]) if light == "dim and warm" else np.ones(3)
    return np.clip(image_bgr * factors[light][..., None] * tint, 0, 255).astype(np.uint8)


def tile(
    image_bgr: ImageBgr, landmarks: FloatArray, kind: MaskKind, label: str, wear: str = "correct"
) -> ImageBgr:
    """Return a face with a mask, upright, (200, 200, 3), with a label."""
    spec = MaskSpec(kind.name, kind.mask_type, kind.color, kind.pattern, wear=wear)
    try:
        drawn, _ = draw(image_bgr, landmarks, spec, rng_for(0, label.encode(), kind.name))
    except UndrawableFace as exc:
        drawn, label = image_bgr, f"{label}: {exc.reason}"
    frame = read_frame(landmarks)
    centre, scale = frame.eyes + 0.75 * frame.unit * frame.down, TILE_PX / (FACES_PER_TILE * frame.unit)
    turn = scale * np.stack([frame.right, frame.down])
    matrix = np.column_stack([turn, TILE_PX / 2 - turn @ centre])
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    shown = np.asarray(cv2.warpAffine(drawn, matrix, (TILE_PX, TILE_PX), flags=how), np.uint8)
    for color, width in (((0, 0, 0), 3), ((255, 255, 255), 1)):
        cv2.putText(shown, label, (5, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.38, color, width, cv2.LINE_AA)
    return shown


def page(tiles: Iterable[ImageBgr], columns: int) -> ImageBgr:
    """Return tiles side by side, row after row."""
    every = list(tiles)
    every += [np.zeros_like(every[0])] * (-len(every) % columns)
    return np.vstack([np.hstack(every[row : row + columns]) for row in range(0, len(every), columns)])


def astronaut() -> tuple[ImageBgr, FloatArray]:
    """Return the photograph, twice as large as it comes, and its points."""
    image = np.ascontiguousarray(skimage.data.astronaut()[..., ::-1])
    large = cv2.resize(image, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
    return np.asarray(large, np.uint8), (ASTRONAUT + 0.5) * 2 - 0.5


def head(yaw_deg: float, pitch_deg: float) -> tuple[ImageBgr, FloatArray]:
    """Return a head of arithmetic, turned, lit a little from the left and above, and its points."""
    points = turned_face(60, (200, 200), yaw_deg, pitch_deg)
    image = skin_image(points, (400, 400), SKIN)
    y, x = np.mgrid[:400, :400]
    shade = 1.05 - 0.0012 * (x - 200) - 0.0012 * (y - 200)
    return np.clip(image * shade[..., None], 0, 255).astype(np.uint8), points


def public_pages() -> dict[str, ImageBgr]:
    """Return the pages that may be published."""
    image, points = astronaut()
    few = [
        kind
        for kind in KINDS
        if kind.name in ("surgical-blue", "N95-white", "KN95-white", "cloth-floral-blue")
    ]
    return {
        "kinds": page((tile(image, points, kind, kind.name) for kind in KINDS), 7),
        "lights": page(
            (tile(relit(image, points, light), points, kind, light) for kind in few for light in LIGHTS),
            len(LIGHTS),
        ),
        "poses": page(
            (tile(*head(*pose), kind, f"yaw {pose[0]} pitch {pose[1]}") for kind in few for pose in POSES),
            len(POSES),
        ),
        "wears": page((tile(image, points, kind, wear, wear) for kind in few for wear in WEARS), len(WEARS)),
    }


def private_pages(folder: Path) -> dict[str, ImageBgr]:
    """Return a page for each light of all photographs with ground truth, kinds in turn; none without any."""
    faces = [
        (np.asarray(image, np.uint8), points)
        for name, truth in read_truth(folder).items()
        if (image := cv2.imread(str(folder / name))) is not None
        for points in truth.points68
    ]
    pages = {}
    for turn, light in enumerate(LIGHTS if faces else ()):
        kinds = [KINDS[(number * 5 + turn) % len(KINDS)] for number in range(len(faces))]
        pages[f"faces-{light.replace(' ', '-')}"] = page(
            (
                tile(relit(image, points, light), points, kind, f"{number} {kind.name}")
                for number, ((image, points), kind) in enumerate(zip(faces, kinds, strict=True))
            ),
            8,
        )
    return pages


def save(pages: dict[str, ImageBgr], folder: Path) -> None:
    """Write pages as JPEG of at most `LARGEST_BYTES`, and name them."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pages.items():
        path = folder / f"lookbook-{name}.jpg"
        for quality in range(JPEG_QUALITY, 30, -8):
            _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
            if len(data) < LARGEST_BYTES:
                break
        path.write_bytes(data.tobytes())
        print(path, f"{len(data) // 1000} kB")


def main() -> None:
    """Write the look book."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, nargs="?", default=Path("output/lookbook"))
    parser.add_argument("--faces", type=Path, default=Path("../shared/faces"))
    parser.add_argument("--docs", action="store_true", help="write the public pages to docs/pictures")
    args = parser.parse_args()
    cv2.setNumThreads(0)
    save(public_pages(), DOCS if args.docs else args.out)
    save(private_pages(args.faces), args.out)


if __name__ == "__main__":
    main()
