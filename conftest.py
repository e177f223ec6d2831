"""Names that examples in docstrings may use without importing them."""

import builtins

import pytest


@pytest.fixture(autouse=True)
def _doctest_names(request):
    if isinstance(request.node, pytest.DoctestItem):
        import isograd

        # A module's own names come first, and Python's.
        known = request.node.dtest.globs
        for name in set(isograd.__all__).difference(vars(builtins)):
            known.setdefault(name, getattr(isograd, name))
