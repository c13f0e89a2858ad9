"""What the commands of `quantus-senc` do. It imports PyTorch, and is imported when the command line has been read."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from quantus_senc.cli_folder import FolderImages
from quantus_senc.cli_inputs import engine, images_in, writable
from quantus_senc.comparison.compare import compare
from quantus_senc.comparison.expected_time import expected_time
from quantus_senc.comparison.model_source import function_from, model_from
from quantus_senc.comparison.progress import duration
from quantus_senc.comparison.result import Comparison
from quantus_senc.comparison.run_folder import n_cells_in
from quantus_senc.comparison.text_table import text_report

Images = tuple[np.ndarray | FolderImages, np.ndarray]  # x and y
_MANY = 64  # images, for which timing one takes little of the whole


def run(options: argparse.Namespace) -> int:
    """Run the command that the command line names, and return the exit code.

    Parameters
    ----------
    options
        As the parser of `quantus_senc.cli` returns them.

    Raises
    ------
    ValueError, OSError
        If what the options name cannot be used.
    """
    commands: dict[str, Callable[[argparse.Namespace], int]] = {"demo": _demo, "compare": _compare, "report": _report}
    return commands[options.command](options)


def _demo(options: argparse.Namespace) -> int:
    from quantus_senc import demo  # here, because it imports scikit-learn

    writable(options.out)
    demo.run(options.out, options.images, options.n_masks)
    return 0


def _compare(options: argparse.Namespace) -> int:
    data = _data(options)
    if not options.dry_run:
        writable(options.out)
    model = model_from(options.model, options.device)
    images = (data, data.classes(model, channel_first=not options.channels_last)) if isinstance(data, FolderImages) else data
    if options.dry_run:
        sys.stdout.write(_expected(options, model, images))
        return 0
    if len(images[0]) >= _MANY:
        sys.stderr.write(_expected(options, model, images))
    if options.fresh and (n_cells := n_cells_in(options.out)):
        sys.stderr.write(f"Deleting {n_cells} cells of an earlier comparison in {str(options.out)!r}.\n")
    try:
        with engine(options.workers, options.scheduler) as executor:
            result = _compared(options, model, images, executor)
    except KeyboardInterrupt:
        sys.stderr.write(_how_to_go_on(options.out))
        return 130
    return _written(result, options.out)


def _data(options: argparse.Namespace) -> tuple[np.ndarray, np.ndarray] | FolderImages:
    if not options.data.is_dir():
        if options.transform is not None:
            raise ValueError(f"--transform {options.transform!r} needs a folder of images as --data, not {str(options.data)!r}")
        return images_in(options.data, options.images)
    if options.transform is None:
        raise ValueError(f"--data {str(options.data)!r} is a folder; pass --transform module:function with it, or an .npz")
    return FolderImages(options.data, function_from("--transform", options.transform), options.images)


def _report(options: argparse.Namespace) -> int:
    return _written(Comparison.load(options.folder), options.folder)


def _compared(options: argparse.Namespace, model: nn.Module, images: Images, executor: Any) -> Comparison:
    return compare(
        model,
        *images,
        folder=options.out,
        fresh=options.fresh,
        retry_failed=options.retry_failed,
        shard=options.shard,
        executor=executor,
        timeout=options.timeout,
        notes={"model function": options.model, "data": str(options.data)}
        | ({} if options.transform is None else {"transform": options.transform}),
        display_progressbar=True,
        **_computed(options),
    )


def _computed(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments that say what is computed."""
    names = (
        *("methods", "metrics", "n_masks", "mask_rate", "tolerance", "seed", "block_size"),
        *("segment_func", "segment_func_kwargs"),
    )
    return {name: getattr(options, name) for name in names} | {"channel_first": not options.channels_last}


def _expected(options: argparse.Namespace, model: nn.Module, images: Images) -> str:
    """What is to be done and how long that takes, with and without workers."""
    folder = None if options.fresh else options.out
    expected = expected_time(model, *images, folder=folder, shard=options.shard, **_computed(options))
    n = options.workers or 1
    return f"{expected}" + (f"With {n} workers, at best {duration(expected.seconds / n)}.\n" if n > 1 else "")


def _how_to_go_on(folder: Path) -> str:
    """What is said of a run that was interrupted."""
    try:
        result = Comparison.load(folder)
    except (ValueError, OSError):
        return "quantus-senc compare: interrupted before anything was done\n"
    done = f"{len(result.scores) - result.n_missing} of {len(result.scores)} scores are in {str(folder)!r}"
    return f"quantus-senc compare: interrupted; {done}. The same command goes on, and `quantus-senc report` shows them.\n"


def _written(result: Comparison, folder: Path) -> int:
    """Write tables and page to a folder, means and verdict to the terminal; return the exit code."""
    result.save(folder)
    failed = result.summary().query("failure != ''")
    failures = [f"- {row.metric} for {row.method}: {row.failure}\n" for row in failed.itertuples()]
    if result.scores["score"].isna().all():
        (folder / "report.html").unlink(missing_ok=True)  # of an earlier run
        sys.stderr.writelines(["Nothing could be scored:\n", *failures])
        return 1
    page = result.report(folder / "report.html")
    sys.stdout.writelines([text_report(result), *failures, f"\nTables, pictures, settings: {page}\n"])
    return 0
