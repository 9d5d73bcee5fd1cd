"""The flags that `run` and `enqueue` share, and the request they make."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, TypeVar

import click

from common.kinds import MASK_TYPES, WEARS
from common.styles import CROP_STYLES
from producer.commands.setting_flags import given_settings, setting_flags

_Function = TypeVar("_Function", bound=Callable[..., Any])

_FLAGS = [
    click.option("--input", "inputs", multiple=True, required=True, metavar="PATH",
                 help="An image, a folder (searched in depth) or @list.txt; repeatable."),
    click.option("--input-root", metavar="DIR", help="Folder that the relative paths of a list are counted from."),
    click.option("--output", default="output", show_default=True, metavar="DIR", help="Where artifacts and exports go."),
    click.option("--follow-symlinks", is_flag=True, help="Read linked folders, and links that leave the input."),
    click.option("--every-n", type=click.IntRange(1), default=1, metavar="N", help="Only every N-th image, from the first."),
    click.option("--skip-list", metavar="FILE", help="Leave out the images with these 0-based indices."),
    click.option("--n-augmentations", type=int, default=1, show_default=True, metavar="N", help="Masked variants an image."),
    click.option("--with-original", is_flag=True, help="The same crops of the unmasked original too."),
    click.option("--no-mask", is_flag=True, help="Draw nothing: the original picture and its crops."),
    click.option("--no-crop", is_flag=True, help="Cut nothing: masked pictures only."),
    click.option("--crop-style", "crop_styles", multiple=True, metavar="STYLE",
                 default=["all"], show_default=True, help=f"{', '.join(CROP_STYLES)}; repeatable. all: the first three."),
    click.option("--crop-size", type=int, default=112, show_default=True, metavar="PX", help="Side of a crop."),
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
    click.option("--detector", type=click.Choice(["centerface", "rfb"]), default="centerface", show_default=True,
                 help="How faces are found."),
    click.option("--detector-model", metavar="PATH", help="ONNX file of the detector."),
    click.option("--detect-side", type=int, default=640, show_default=True, metavar="PX",
                 help="Images are reduced to this longer side for detection; more finds smaller faces, slower."),
    click.option("--score", type=float, default=0.5, show_default=True, help="Faces below this score are dropped."),
    click.option("--nms", type=float, default=0.3, show_default=True, help="Of boxes that overlap more, one is kept."),
    click.option("--max-faces", type=int, metavar="N", help="Keep the N faces with the highest scores."),
    click.option("--largest-face", is_flag=True, help="Keep only the largest face."),
    click.option("--min-face", default="", metavar="SIZE",
                 help="Drop faces with a smaller box diagonal: pixels, or 5% of the short side."),
    click.option("--landmarks", type=click.Choice(["dlib68", "onnx98"]), default="dlib68", show_default=True,
                 help="How the points of a face are found."),
    click.option("--landmark-model", metavar="PATH", help="File of the landmark model."),
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
    from common.options import options_from_flags
    from common.styles import expand_styles
    from producer.request import make_request

    options = options_from_flags(
        {
            "crop_size": flags["crop_size"],
            "mask_types": flags["mask_types"],
            "mask_colors": flags["mask_colors"],
            "mask_per_face": flags["mask_per_face"],
            "wears": flags["wears"],
            "skip_masked": _absolute(flags["skip_masked"]),
            "seed": flags["seed"],
            "labels": flags["labels"] and not flags["no_mask"],
            "detector": flags["detector"],
            "detector_model": _absolute(flags["detector_model"]),
            "detect_side": flags["detect_side"],
            "score": flags["score"],
            "nms": flags["nms"],
            "max_faces": flags["max_faces"],
            "largest_face": flags["largest_face"],
            "min_face": flags["min_face"],
            "landmarks": flags["landmarks"],
            "landmark_model": _absolute(flags["landmark_model"]),
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
    wanted = ((options.detector, options.detector_model), (options.landmarks, options.landmark_model))
    for name, explicit in wanted:
        find(name, None if explicit is None else Path(explicit), settings.models)
    if options.skip_masked is not None and not os.path.isfile(options.skip_masked):
        raise UnfitError(
            f"--skip-masked {options.skip_masked}: no such file; give the ONNX file of a classifier"
        )
    if settings.device.startswith("cuda") or any(explicit is not None for _, explicit in wanted):
        # A model of the user's, or a device asked for by name, is tried before anything is written.
        from workers.runtime import Runtime

        runtime = Runtime(settings)
        runtime.detector(options)
        runtime.landmarker(options)


def _absolute(path: str | None) -> str | None:
    return None if path is None else os.path.abspath(path)
