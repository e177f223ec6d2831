"""Names that examples in docstrings may use without importing them."""

import builtins
from importlib.util import find_spec

import pytest

# Its modules import CuPy.
collect_ignore = [] if find_spec("cupy") else ["backends/isograd_cupy"]


@pytest.fixture(autouse=True)
def _doctest_names(request):
    if isinstance(request.node, pytest.DoctestItem):
        import isograd

        # A module's own names come first, and Python's.
        known = request.node.dtest.globs
        for name in set(isograd.__all__).difference(vars(builtins)):
            known.setdefault(name, getattr(isograd, name))
