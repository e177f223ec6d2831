"""How Sphinx builds these pages: ``nox -s docs``.

The reference is generated from the package: a page for each family of functions, in the order of
its ``__all__``, and one each for the primitives and the errors.
"""

import importlib
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import isograd
from isograd.core import errors
from isograd.ops import PRIMITIVES
from isograd.testing import array_api

project = "isograd"
author = "The isograd developers"
copyright = "The isograd developers"  # noqa: A001 - Sphinx's name
version = release = isograd.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.mathjax", "sphinx.ext.napoleon"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"isograd {release}"
default_role = "code"
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
napoleon_google_docstring = False
napoleon_use_ivar = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"

GENERATED = Path(__file__).parent / "reference" / "generated"

# Page, title, the module whose `__all__` it lists, and the module that users import it from.
PAGES = (
    ("tensor", "Tensor", "isograd.runtime.tensor", "isograd"),
    ("creation", "Creation", "isograd.ops.creation", "isograd"),
    ("elementwise", "Elementwise functions", "isograd.ops.elementwise", "isograd"),
    ("reductions", "Reductions and sorting", "isograd.ops.reductions", "isograd"),
    ("special", "Special functions", "isograd.ops.special", "isograd"),
    ("statistics", "Further statistics", "isograd.ops.statistics", "isograd"),
    ("comparing", "Comparing", "isograd.ops.comparing", "isograd"),
    ("movement", "Movement", "isograd.ops.movement", "isograd"),
    ("assembly", "Padding and stacking", "isograd.ops.assembly", "isograd"),
    ("namespace", "The array API's questions", "isograd.ops.namespace", "isograd"),
    ("exchange", "Exchange with other libraries", "isograd.ops.exchange", "isograd"),
    ("searching", "Searching and sets", "isograd.ops.searching", "isograd"),
    ("indexing", "Indexing", "isograd.ops.indexing", "isograd"),
    ("subscripts", "Subscripts", "isograd.ops.subscripts", "isograd"),
    ("scattering", "Gathering, scattering, segments", "isograd.ops.scattering", "isograd"),
    ("linear", "Products", "isograd.ops.linear", "isograd"),
    ("diagonals", "Diagonals", "isograd.ops.diagonals", "isograd"),
    ("contraction", "Einstein's summation", "isograd.ops.contraction", "isograd"),
    ("linalg", "isograd.linalg", "isograd.ops.linalg", "isograd.linalg"),
    ("complexes", "Complex numbers", "isograd.ops.complexes", "isograd"),
    ("fft", "isograd.fft", "isograd.ops.fft", "isograd.fft"),
    ("random", "isograd.random", "isograd.ops.random", "isograd.random"),
    ("transforms", "Derivatives", "isograd.runtime.transforms", "isograd"),
    ("vmap", "Many examples at once", "isograd.runtime.vmap", "isograd"),
    ("custom", "Custom derivatives and checkpoints", "isograd.runtime.custom", "isograd"),
    ("modes", "Modes", "isograd.runtime.modes", "isograd"),
    ("backends", "Choosing a backend", "isograd.runtime.registry", "isograd"),
    ("dtypes", "Dtypes", "isograd.core.dtypes", "isograd"),
    ("pytree", "Trees", "isograd.core.pytree", "isograd"),
    ("nn", "isograd.nn", "isograd.nn", "isograd.nn"),
    ("functional", "isograd.nn.functional", "isograd.nn.functional", "isograd.nn.functional"),
    ("init", "isograd.nn.init", "isograd.nn.init", "isograd.nn.init"),
    ("utils", "isograd.nn.utils", "isograd.nn.utils", "isograd.nn.utils"),
    ("rnn", "isograd.nn.utils.rnn", "isograd.nn.utils.rnn", "isograd.nn.utils.rnn"),
    ("optim", "isograd.optim", "isograd.optim", "isograd.optim"),
    (
        "schedulers",
        "isograd.optim.lr_scheduler",
        "isograd.optim.lr_scheduler",
        "isograd.optim.lr_scheduler",
    ),
    (
        "averages",
        "isograd.optim.swa_utils",
        "isograd.optim.swa_utils",
        "isograd.optim.swa_utils",
    ),
    ("amp", "isograd.amp", "isograd.amp", "isograd.amp"),
    ("data", "isograd.data", "isograd.data", "isograd.data"),
    ("io", "isograd.io", "isograd.io", "isograd.io"),
    ("train", "isograd.train", "isograd.train", "isograd.train"),
    ("sklearn", "isograd.sklearn", "isograd.sklearn", "isograd.sklearn"),
    ("debug", "isograd.debug", "isograd.debug", "isograd.debug"),
    ("testing", "isograd.testing", "isograd.testing", "isograd.testing"),
    ("backend", "isograd.backend", "isograd.backend", "isograd.backend"),
)


def _directive(public: str, name: str, thing: Any) -> str:
    if inspect.isclass(thing):
        # What scikit-learn adds to an estimator refers to scikit-learn's own pages.
        added = [m for m in vars(thing) if m.startswith("set_") and m.endswith("_request")]
        left_out = f"   :exclude-members: {', '.join(added)}\n" if added else ""
        return f".. autoclass:: {public}.{name}\n   :members:\n{left_out}   :show-inheritance:\n"
    return f".. autofunction:: {public}.{name}\n"


def _reference(title: str, source: str, public: str) -> str:
    module = importlib.import_module(source)
    users = isograd
    for name in public.split(".")[1:]:
        users = getattr(users, name)
    # A name that users get from elsewhere is described there.
    things = [
        (name, getattr(users, name))
        for name in module.__all__
        if getattr(users, name, None) is getattr(module, name)
    ]
    documented = [
        _directive(public, name, thing)
        for name, thing in things
        if callable(thing) and not (public == "isograd.backend" and hasattr(isograd, name))
    ]
    body = "\n".join(documented)
    return f"# {title}\n\n{_intro(module)}\n\n```{{eval-rst}}\n{body}```\n"


def _intro(module: ModuleType) -> str:
    """Return a module's docstring up to its first example, as reStructuredText."""
    text = inspect.cleandoc(module.__doc__ or "").partition(">>>")[0].rstrip()
    return f"```{{eval-rst}}\n{text}\n```"


def _primitives() -> str:
    rows = [
        f"| `{prim.name}` | {'fused' if prim.decompose else 'core'} | "
        f"{'' if prim.public == prim.name else f'`{prim.public}`'} |"
        for prim in PRIMITIVES.values()
    ]
    return "\n".join(
        [
            "# Primitives",
            "",
            "What a backend has kernels for. A fused primitive is defined by other functions of",
            "the library, and runs through them on a backend that has no kernel for it.",
            "",
            "| name | kind | public name |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def _errors() -> str:
    body = "\n".join(
        f".. autoclass:: isograd.{name}\n   :show-inheritance:\n"
        for name in errors.__all__
        if hasattr(isograd, name)
    )
    return f"# Errors\n\n{_intro(errors)}\n\n```{{eval-rst}}\n{body}```\n"


def write_reference(_: object = None) -> None:
    """Write the pages that changed, and remove those that are no more."""
    pages = {
        "primitives": _primitives(),
        "errors": _errors(),
        "array_api": array_api.list_as_markdown(),
    }
    for page, title, source, public in PAGES:
        pages[page] = _reference(title, source, public)
    GENERATED.mkdir(exist_ok=True)
    for path in GENERATED.glob("*.md"):
        if path.stem not in pages:
            path.unlink()
    for page, text in pages.items():
        path = GENERATED / f"{page}.md"
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def setup(app: Any) -> None:
    """Write the generated pages before Sphinx reads the folder."""
    app.connect("builder-inited", write_reference)
