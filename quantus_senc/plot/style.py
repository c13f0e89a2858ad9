"""The common style of all figures: legible in grey print and for colour-blind readers."""

import textwrap
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, cast

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.text import Text
from torch import Tensor

from quantus_senc.core.array_like import ArrayLike

RANK_COLOURS = "cividis"  # its lightness increases all the way, so that grey print keeps the order
QUIET = "#767676"
ARROWS = {"higher": "↑", "lower": "↓"}

# Okabe and Ito's palette, with grey for black (which hides error bars) and wine for yellow (which is pale on paper).
_PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999", "#882255")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">", "p")
_HATCHES = ("", "////", "....", "\\\\\\\\", "xxxx", "----", "++++", "||||", "oooo")
_STYLE: dict[Any, Any] = {
    "text.parse_math": False,  # a dollar sign in a name does not start a formula
    "text.usetex": False,
    "axes.formatter.use_mathtext": False,
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
}


class Look(NamedTuple):
    """Colour, marker and hatch of a method, the same in all figures."""

    colour: str
    marker: str
    hatch: str


def look(index: int) -> Look:
    """The look of the method at a position. The lists have different lengths, so that the first 72 looks all differ."""
    return Look(*(values[index % len(values)] for values in (_PALETTE, _MARKERS, _HATCHES)))


def style() -> AbstractContextManager[None]:
    """A context in which figures get fonts and lines of this package. They keep them afterwards."""
    return plt.rc_context(_STYLE)


@contextmanager
def one_axes(ax: Axes | None, size: tuple[float, float]) -> Iterator[Axes]:
    """Axes to draw in with this style: those of a user, or those of a new figure of a size in inches."""
    with style():
        axes = plt.subplots(figsize=size, layout="constrained")[1] if ax is None else ax
        yield axes
        if ax is not None:  # its labels may be older than the style
            axes.spines[["top", "right"]].set_visible(False)
            for text in axes.findobj(Text):
                text.set(parse_math=False, usetex=False)


def figure_of(axes: Axes) -> Figure:
    """The figure that axes are in, also if they are in a part of it."""
    return cast(Figure, axes.get_figure(root=True))


def wrapped(name: str, width: int = 20) -> str:
    """A name on at most three lines."""
    return "\n".join(textwrap.wrap(name, width, max_lines=3, placeholder=" …")) or " "


def one_line(name: str, width: int = 32) -> str:
    """A name on one line, shortened to `width` characters.

    Examples
    --------
    >>> one_line("two\\nlines"), one_line("a long name", width=7)
    ('two lines', 'a long…')
    """
    name = " ".join(name.split())
    return name if len(name) <= width else f"{name[: width - 1]}…"


def panels(n_panels: int, n_columns: int, size: tuple[float, float], **kwargs: Any) -> tuple[Figure, np.ndarray]:
    """A figure with at least `n_panels` axes, each of a size in inches. Axes that are not needed are switched off."""
    n_rows = -(-n_panels // n_columns)
    n_columns = -(-n_panels // n_rows)
    figsize = (size[0] * n_columns, size[1] * n_rows)
    figure, axes = plt.subplots(n_rows, n_columns, figsize=figsize, squeeze=False, layout="constrained", **kwargs)
    for unused in axes.flat[n_panels:]:
        unused.set_axis_off()
    return figure, axes


def rank_bar(figure: Figure, axes: np.ndarray, lowest: str, highest: str) -> None:
    """Add a colour bar with words, not numbers, at its two ends."""
    mappable = ScalarMappable(Normalize(0, 1), RANK_COLOURS)
    bar = figure.colorbar(mappable, ax=axes, ticks=[0, 1], shrink=0.6, fraction=0.04, aspect=12, pad=0.01)
    bar.ax.set_yticklabels([lowest, highest])
    bar.ax.tick_params(length=0)


def image_axes(axes: Axes, title: str, picture: np.ndarray) -> Axes:
    """Show an image in axes with a title; returns the axes."""
    axes.set_title(title)
    axes.set_axis_off()
    axes.imshow(picture, cmap="gray")
    return axes


def displayable(image: np.ndarray) -> np.ndarray:
    """An image (C, H, W) as (H, W, 3) in [0, 1], or the mean of its channels (H, W) if there are not three."""
    picture = np.moveaxis(image, 0, -1) if len(image) == 3 else image.mean(0)
    low, high = np.nanmin(picture), np.nanmax(picture)
    return (picture - low) / max(high - low, 1e-12)


def float_array(values: ArrayLike | Tensor) -> np.ndarray:
    """An array in double precision of an array, a list, or a tensor on any device and of any precision."""
    return np.asarray(values.detach().cpu().double() if isinstance(values, Tensor) else values, dtype=np.float64)
