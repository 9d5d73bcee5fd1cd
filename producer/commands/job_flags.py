"""The flags that `run` and `enqueue` share, and the request they make."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar, get_args

import click

from common.choices import DetectorName, DetectorPrecision, LandmarksName, Normalization
from common.kinds import MASK_TYPES, WEARS
from common.styles import CROP_FORMATS, CROP_STYLES
from producer.commands.setting_flags import given_settings, setting_flags

_Function = TypeVar("_Function", bound=Callable[..., Any])

_FLAGS = [
    click.option("--input", "inputs", multiple=True, required=True, metavar="PATH",
                 help="An image, a folder (searched in depth), a video or @list.txt; repeatable."),
    click.option("--input-root", metavar="DIR", help="Folder that the relative paths of a list are counted from."),
    click.option("--output", default="output", show_default=True, metavar="DIR", help="Where artifacts and exports go."),
    click.option("--follow-symlinks", is_flag=True, help="Read linked folders, and links that leave the input."),
    click.option("--every-n", type=click.IntRange(1), default=1, metavar="N",
                 help="Only every N-th image or frame, from the first."),
    click.option("--skip-list", metavar="FILE", help="Leave out the images or frames with these 0-based indices."),
    click.option("--skip-existing", is_flag=True, help="Leave out images whose artifacts are in the output already."),
    click.option("--n-augmentations", type=int, default=1, show_default=True, metavar="N", help="Masked variants an image."),
    click.option("--with-original", is_flag=True, help="The same crops of the unmasked original too."),
    click.option("--no-mask", is_flag=True, help="Draw nothing: the original picture and its crops."),
    click.option("--no-crop", is_flag=True, help="Cut nothing: masked pictures only."),
    click.option("--crop-style", "crop_styles", multiple=True, metavar="STYLE",
                 default=["all"], show_default=True, help=f"{', '.join(CROP_STYLES)}; repeatable. all: the first three."),
    click.option("--crop-size", type=int, default=112, show_default=True, metavar="PX", help="Side of a crop."),
    click.option("--crop-format", "crop_formats", multiple=True, default=["jpg"], show_default=True, metavar="FORMAT",
                 help=f"{', '.join(CROP_FORMATS)}; repeatable. png and tif lose nothing and say where they come from."),
    click.option("--mask-type", "mask_types", multiple=True, metavar="TYPE",
                 help=f"{', '.join(MASK_TYPES)}; repeatable; all by default."),
    click.option("--mask-color", "mask_colors", multiple=True, metavar="#RRGGBB",
                 help="Instead of the palette; repeatable."),
    click.option("--mask-per-face", is_flag=True, help="A type and colour for each face, not for each variant."),
    click.option("--wear", "wears", multiple=True, default=["correct"], show_default=True, metavar="WAY",
                 help=f"{', '.join(WEARS)}; repeatable; mixed: all of them."),
    click.option("--skip-masked", metavar="PATH",
                 help="ONNX classifier: faces that wear a mask already are left alone. It takes float32 [n, 3, H, W], RGB, "
                 "0 to 1, the face box; it gives [n] or [n, 1] how likely masked, or [n, 2] scores bare, masked."),
    click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same pictures."),
    click.option("--save-full", type=click.Choice(["auto", "always", "never"]), default="auto", show_default=True,
                 help="Whole pictures as PNG. auto: with --no-crop or --no-mask."),
    click.option("--labels", is_flag=True, help="Write the alpha of each variant's masks as a PNG."),
    click.option("--detector", type=click.Choice(get_args(DetectorName)), default="centerface", show_default=True,
                 help="How faces are found."),
    click.option("--detector-model", metavar="PATH", help="ONNX file of the detector, or its description (docs/models.md)."),
    click.option("--detector-precision", type=click.Choice(get_args(DetectorPrecision)), default="auto", show_default=True,
                 help="Numbers that centerface computes with. auto: fp32 on a CPU, fp16 on a GPU; int8: faster on a CPU."),
    click.option("--boxes", metavar="FILE",
                 help="With --detector manual: a CSV as `export --table faces` writes it, the output of another run, or "
                 "job:NAME of the configured database."),
    click.option("--rotate", default="", metavar="HOW",
                 help="Where no face is found upright, turn the picture: on (by 90s), a step (30) or a list (90,270)."),
    click.option("--detect-side", type=int, default=640, show_default=True, metavar="PX",
                 help="Images are reduced to this longer side for detection; more finds smaller faces, slower."),
    click.option("--score", type=float, default=0.5, show_default=True, help="Faces below this score are dropped."),
    click.option("--nms", type=float, default=0.3, show_default=True, help="Of boxes that overlap more, one is kept."),
    click.option("--max-faces", type=int, metavar="N", help="Keep the N faces with the highest scores."),
    click.option("--largest-face", is_flag=True, help="Keep only the largest face."),
    click.option("--min-face", default="", metavar="SIZE",
                 help="Drop faces with a smaller box diagonal: pixels, or 5% of the short side."),
    click.option("--filter", "filters", multiple=True, metavar="PATH",
                 help="Keep only faces of this person: a picture, or a folder of pictures; repeatable."),
    click.option("--nfilter", "nfilters", multiple=True, metavar="PATH",
                 help="Leave out faces of this person, likewise."),
    click.option("--filter-threshold", type=float, metavar="T",
                 help="Largest distance (1 - cosine) of one person; by default the identity model's own."),
    click.option("--identity-model", metavar="PATH",
                 help="ONNX file that compares faces, with a description beside it; dlib's ResNet by default."),
    click.option("--landmarks", type=click.Choice(get_args(LandmarksName)), default="dlib68", show_default=True,
                 help="How the points of a face are found."),
    click.option("--landmark-model", metavar="PATH", help="File of the landmark model, or its description."),
    click.option("--normalization", type=click.Choice(get_args(Normalization)), default="none", show_default=True,
                 help="What is done to the pixels that the landmark model sees."),
    click.option("--debug-landmarks", is_flag=True, help="Write the points on a copy of each picture, as a PNG."),
    *setting_flags("device", "models"),
    click.option("--force", is_flag=True, help="Start the results of this output anew."),
    click.option("--fail-fast", is_flag=True, help="Stop at the first failed image."),
    click.option("--dry-run", is_flag=True, help="Count, try a sample, estimate time and disk; write nothing."),
    click.option("--quiet", is_flag=True, help="No progress, no summary; errors only."),
    click.option("--json", "as_json", is_flag=True, help="The summary as JSON on standard output."),
    *setting_flags("chunk_size", "durability", "visibility_timeout_s", "soft_time_limit_s", "time_limit_s", "log_level",
                   "log_file"),
]  # fmt: skip


def job_flags(function: _Function) -> _Function:
    """Give a command all flags of a job."""
    for flag in reversed(_FLAGS):
        function = flag(function)
    return function


def read_request(flags: dict[str, Any]) -> Any:
    """The request that the flags make.

    Raises:
        UsageError: something is impossible.
    """
    # Imported here: `--help` needs none of it.
    from common.errors import UsageError
    from common.options import options_from_flags
    from common.styles import expand_styles
    from producer.references import identity_options, read_references
    from producer.request import make_request

    boxes = None
    if flags["boxes"] is not None and flags["detector"] == "manual":
        from producer.box_argument import read_boxes

        boxes = read_boxes(flags["boxes"], flags["output"], flags.get("database_url"))
    elif flags["boxes"] is not None:
        raise UsageError("--boxes is for --detector manual: give both or neither")
    references = read_references(flags["filters"], flags["nfilters"])
    options = options_from_flags(
        {
            "crop_size": flags["crop_size"],
            "crop_formats": tuple(one.lower() for one in flags["crop_formats"]),
            "mask_types": flags["mask_types"],
            "mask_colors": flags["mask_colors"],
            "mask_per_face": flags["mask_per_face"],
            "wears": flags["wears"],
            "skip_masked": _absolute(flags["skip_masked"]),
            "seed": flags["seed"],
            "labels": flags["labels"] and not flags["no_mask"],
            "detector": flags["detector"],
            "detector_precision": flags["detector_precision"],
            "boxes": None if boxes is None else boxes.identity,
            "rotate": flags["rotate"],
            "normalization": flags["normalization"],
            "debug_landmarks": flags["debug_landmarks"],
            "detector_model": _absolute(flags["detector_model"]),
            "detect_side": flags["detect_side"],
            "score": flags["score"],
            "nms": flags["nms"],
            "max_faces": flags["max_faces"],
            "largest_face": flags["largest_face"],
            "min_face": flags["min_face"],
            "landmarks": flags["landmarks"],
            "landmark_model": _absolute(flags["landmark_model"]),
            **identity_options(references, flags["filter_threshold"], _absolute(flags["identity_model"])),
        },
        n_augmentations=flags["n_augmentations"],
        no_mask=flags["no_mask"],
        no_crop=flags["no_crop"],
        with_original=flags["with_original"],
        crop_styles=expand_styles(style.replace("-", "_") for style in flags["crop_styles"]),
        save_full=flags["save_full"],
    )
    if flags["no_mask"] and flags["n_augmentations"] > 1:
        click.echo("maskmill: --n-augmentations has no meaning with --no-mask and is ignored", err=True)
    return make_request(
        flags["inputs"],
        input_root=flags["input_root"],
        output=flags["output"],
        options=options,
        skip_list=flags["skip_list"],
        every_n=flags["every_n"],
        follow_symlinks=flags["follow_symlinks"],
        force=flags["force"],
        fail_fast=flags["fail_fast"],
        skip_existing=flags["skip_existing"],
        boxes=boxes,
        references=references,
    )


def read_job_settings(flags: dict[str, Any]) -> Any:
    """The settings in force, with the flags that override them; models that the job needs must be there.

    Raises:
        UsageError: an impossible value.
    """
    from common.settings import read_settings

    return read_settings(**given_settings(flags))


def require_models(request: Any, settings: Any) -> None:
    """Stop before anything is written where a model is missing.

    Raises:
        UnfitError: names the model and what mends it.
    """
    from pathlib import Path

    from common.errors import UnfitError
    from common.weights import find

    options = request.options
    wanted = [(options.landmarks, options.landmark_model)]
    if options.detector != "manual":
        wanted.append((options.detector, options.detector_model))
    for name, explicit in wanted:
        find(name, None if explicit is None else Path(explicit), settings.models)
    if options.filters_identity and options.identity_model is None:
        find("dlib-resnet", None, settings.models)
    if options.skip_masked is not None and not os.path.isfile(options.skip_masked):
        raise UnfitError(
            f"--skip-masked {options.skip_masked}: no such file; give the ONNX file of a classifier"
        )
    if settings.device.startswith("cuda") or any(explicit is not None for _, explicit in wanted):
        # A model of the user's, or a device asked for by name, is tried before anything is written.
        from workers.runtime import Runtime

        runtime = Runtime(settings)
        if options.detector != "manual":
            runtime.detector(options)
        runtime.landmarker(options)


def _absolute(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(path)
