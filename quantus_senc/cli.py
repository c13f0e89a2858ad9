"""The command `quantus-senc`: compare explanation methods by metrics from a shell."""

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from quantus_senc import __version__

_DEFAULT_METHODS = "Saliency,GuidedBackprop,IntegratedGradients,LRP,GradCAM,DeepLift,random"
_EXAMPLE = """
example:
  Save images as the model takes them, and the classes to explain, from Python:

      numpy.savez("images.npz", x=x, y=y)     # x (B, C, H, W), (B, C, T) or (B, F); y (B,)

  In my_models.py, write a function that takes nothing and returns the model with its weights:

      def trained():
          model = LeNet()
          model.load_state_dict(torch.load("weights.pt"))
          return model

  For a model that returns something else than (B, classes), return quantus_senc.adapt(model, ...) there; logits, and scores
  that are the only ones, are recognised.

  Or leave the images in files in a folder, and pass --transform my_models:resized, a function that makes of a PIL image what
  the model takes, as transforms of torchvision and timm do. Folders in it are the classes, numbered in the order of their
  names; without such folders, the class that the model predicts is explained.

  Then, in the folder that holds my_models.py:

      quantus-senc compare --model my_models:trained --data images.npz --out results

  and open results/report.html. The scores are in results/scores.csv, one row per metric, method and image;
  quantus_senc.Comparison.load("results") reads them back.

methods (those from "random" on are controls, which carry no information about the model):
  Saliency, Gradient, InputXGradient, IntegratedGradients, SmoothGrad, GuidedBackprop, DeepLift, LRP, GradCAM, Occlusion,
  FeatureAblation, KernelShap, Lime, RISE, random, fixed random, blurred noise, Sobel, blob, input

metrics ("SenC" is the published score; "SenC (regression)" estimates the same from fewer masks, without their shared noise,
and so does "Parameter SenC" for the first convolution):
  SenC (regression), Top-1, Top-3, SenC, Parameter SenC, Faithfulness Correlation, Pixel Flipping, Region Perturbation, MPRT,
  Smooth MPRT, Efficient MPRT, Random Logit

exit codes: 0 done; 1 nothing could be scored; 2 bad input, said in one line; 130 interrupted.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code.

    Parameters
    ----------
    arguments
        As on a command line; by default those of the process.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # for terminals that cannot show arrows
    options = _parser().parse_args(arguments)
    try:
        from quantus_senc.cli_commands import run  # here, because it imports PyTorch, which takes seconds

        return run(options)
    except BrokenPipeError:  # the reader has closed the pipe, as `head` does
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
        return 0
    except (ValueError, OSError) as error:
        sys.stderr.write(f"quantus-senc {options.command}: {' '.join(str(error).split())}\n")
        return 2
    except KeyboardInterrupt:
        sys.stderr.write(f"quantus-senc {options.command}: interrupted\n")
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="quantus-senc", description="Which explanation should I use for this model?")
    parser.add_argument("--version", action="version", version=f"quantus-senc {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_demo(commands)
    _add_compare(commands)
    _add_report(commands)
    return parser


def _add_demo(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("demo", help="compare explanation methods on handwritten digits, in about a minute")
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder for the results (default: %(default)s)")
    parser.add_argument("--images", type=int, default=16, help="number of test images (default: %(default)s)")
    parser.add_argument("--n-masks", type=int, default=500, help="largest number of masks per image (default: %(default)s)")


def _add_compare(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "compare",
        help="compare explanation methods on your model and images",
        epilog=_EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", required=True, metavar="MODULE:FUNCTION", help="takes nothing, returns an nn.Module")
    parser.add_argument(
        "--data",
        required=True,
        type=Path,
        metavar="PATH",
        help="an .npz of x, as the model takes it, and y, classes; or a folder",
    )
    parser.add_argument(
        "--transform",
        metavar="MODULE:FUNCTION",
        help="with a folder: makes of a PIL image in RGB what the model takes, (C, H, W)",
    )
    parser.add_argument("--out", required=True, type=Path, help="folder for report.html, scores.csv and settings.json")
    parser.add_argument("--methods", type=_names, help=f"default: {_DEFAULT_METHODS}")
    parser.add_argument("--metrics", type=_names, help="default: all that apply to the data and the model")
    parser.add_argument("--channels-last", action="store_true", help="x has its channels last, and the model takes them first")
    parser.add_argument("--images", type=int, metavar="N", help="use only the first N images")
    parser.add_argument("--segment-func", help="slic, grid (images), window (series) or column (tables); default: by the data")
    parser.add_argument(
        "--segment-func-kwargs", type=_settings, metavar="NAME=VALUE,...", help="such as pixels_per_segment=50 or patch_size=7"
    )
    parser.add_argument("--n-masks", type=masks, default=500, help="largest number of masks per image, or all (default: 500)")
    parser.add_argument("--mask-rate", type=float, default=0.8, help="share of features that a mask eliminates (default: 0.8)")
    parser.add_argument("--tolerance", type=float, help="stop drawing masks for an image at this standard error")
    parser.add_argument("--seed", type=int, default=42, help="of masks and metrics (default: %(default)s)")
    parser.add_argument("--block-size", type=int, default=64, help="images at a time (default: %(default)s)")
    parser.add_argument("--device", default="cpu", help="where the model runs, such as cuda (default: %(default)s)")
    parser.add_argument("--fresh", action="store_true", help="delete what the folder has of an earlier comparison")
    parser.add_argument("--retry-failed", action="store_true", help="do again what has raised an error in an earlier call")
    parser.add_argument("--workers", type=int, metavar="N", help="run blocks in N processes on this machine, by Dask")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="run blocks on a cluster of Dask, such as tcp://host:8786")
    parser.add_argument("--dry-run", action="store_true", help="only say what is to be done, and about how long it takes")
    parser.add_argument("--timeout", type=float, metavar="SECONDS", help="of a method or a metric on a block, with workers")
    parser.add_argument("--shard", type=shard, default=(1, 1), metavar="K/N", help="do only every N-th block, from the K-th on")


def _add_report(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser("report", help="tables and page of a comparison, also of an unfinished one")
    parser.add_argument("folder", type=Path, help="the --out of compare")


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def masks(text: str) -> int | str:
    """A number of masks. argparse shows the name of this function in its error message."""
    return text if text == "all" else int(text)


def shard(text: str) -> tuple[int, int]:
    """A number and how many there are, as in 3/16. argparse shows the name of this function in its error message."""
    number, _, n = text.partition("/")
    return int(number), int(n)


def _settings(text: str) -> dict[str, int | float]:
    pairs = [pair.partition("=") for pair in _names(text)]
    return {name.strip(): int(value) if value.strip().isdigit() else float(value) for name, _, value in pairs}


if __name__ == "__main__":
    sys.exit(main())
