"""Settings of Sphinx. `make docs` builds the site; neither the build nor the pages need a network."""

import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import mathml
from docutils import nodes
from sphinx.application import Sphinx

import quantus_senc

project = "quantus-senc"
author = "The quantus-senc authors"
copyright = "2026, The quantus-senc authors"
release = version = quantus_senc.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_gallery.gen_gallery"]
myst_enable_extensions = ["dollarmath", "amsmath"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "gallery", "auto_gallery/*.ipynb", "auto_gallery/*.py"]
suppress_warnings = ["config.cache"]  # functions in the settings of the gallery cannot be kept between builds
default_role = "code"  # of `names` in docstrings and in the gallery
html_math_renderer = "mathml"

autodoc_typehints = "none"  # the numpydoc text says what the arguments are
autodoc_preserve_defaults = True
autoclass_content = "both"  # the parameters of the metrics are in the docstrings of __init__, as Quantus wants it
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_attr_annotations = False  # shapes such as "*spatial" are no markup

html_theme = "furo"
html_title = "quantus-senc"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sphinx = False

_ORDER = [
    *("digits", "steps", "layers", "imagenet", "adapt", "transformer", "series", "tokens", "table", "method", "evaluation"),
    "workers",
]


def _place(name: str) -> int:
    return _ORDER.index(Path(name).stem.removeprefix("plot_"))


sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": "plot_",
    "within_subsection_order": _place,
    "download_all_examples": False,
    "show_memory": False,
    "show_signature": False,
    "write_computation_times": False,
    "capture_repr": (),
    "reset_modules": ("matplotlib",),
    "remove_config_comments": True,
    "copyfile_regex": "",
}


def _shapes(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Shapes such as (B, *spatial) are no emphasis that lacks its end."""
    lines[:] = [
        line if line.lstrip().startswith((">>>", "...")) else re.sub(r"(?<!\\)\*(?=\w+[,)])", r"\\*", line) for line in lines
    ]


def _line_breaks(app: Sphinx, tree: nodes.document) -> None:
    """A number and its error stay on one line; a long name in a table may break after each underscore."""
    for text in list(tree.findall(nodes.Text)):
        parent = text.parent
        if not isinstance(parent, (nodes.literal, nodes.literal_block)):
            parent.replace(text, nodes.Text(text.replace(" ± ", "\u00a0±\u00a0")))
        elif isinstance(parent.parent.parent, nodes.entry):
            parts = [part for word in re.findall("[^_]*_|[^_]+", text) for part in (nodes.Text(word), _break())]
            parent.replace(text, parts[:-1])


def _break() -> nodes.raw:
    return nodes.raw("", "<wbr>", format="html")


def setup(app: Sphinx) -> None:
    """Formulas become MathML, which browsers draw without a script."""
    app.connect("autodoc-process-docstring", _shapes)
    app.connect("doctree-read", _line_breaks)
    app.add_html_math_renderer("mathml", (mathml.visit_inline, None), (mathml.visit_block, None))
