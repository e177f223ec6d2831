"""How Sphinx builds these pages: ``nox -s docs``."""

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

import isograd
from isograd.core import errors
from isograd.ops import PRIMITIVES

project = "isograd"
author = "The isograd developers"
copyright = "The isograd developers"  # noqa: A001 - Sphinx's name
version = release = isograd.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"isograd {release}"

myst_enable_extensions = ["dollarmath", "deflist"]
myst_heading_anchors = 3
napoleon_google_docstring = False
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
default_role = "code"

#: Reference pages of modules: file name, title, modules.
MODULES = {
    "autodiff": ("Derivatives", ["isograd.runtime.transforms", "isograd.runtime.custom"]),
}


def _summary(thing: Any) -> str:
    return (inspect.getdoc(thing) or "").partition("\n\n")[0].replace("\n", " ")


def _primitives() -> str:
    """List the primitives in the order of their registry."""
    rows = [
        f"| `{prim.name}` | {'fused' if prim.decompose else 'core'} | "
        f"{'' if prim.public == prim.name else f'`{prim.public}`'} |"
        for prim in PRIMITIVES.values()
    ]
    head = (
        "# Primitives\n\nWhat a backend has kernels for. A fused primitive is defined by other functions of"
        " the\nlibrary, and runs through them on a backend that has no kernel for it.\n\n"
    )
    return head + "| name | kind | public name |\n|---|---|---|\n" + "\n".join(rows) + "\n"


def _errors() -> str:
    """Show each error's mistake and fix, from its docstring."""
    parts = ["# Errors\n"]
    for name in errors.__all__:
        parts.append(f"## {name}\n\n{inspect.getdoc(getattr(errors, name))}\n")
    return "\n".join(parts).replace("``", "`")


def _write_reference(_: object) -> None:
    folder = Path(__file__).parent / "reference"
    for name, text in (("primitives", _primitives()), ("errors", _errors())):
        path = folder / f"{name}.md"
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def setup(app: Any) -> None:
    """Write the generated pages before Sphinx reads the folder."""
    app.connect("builder-inited", _write_reference)
