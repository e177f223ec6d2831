"""Names that examples in docstrings may use without importing them."""

import builtins

import pytest


@pytest.fixture(autouse=True)
def _doctest_names(request, doctest_namespace):
    if isinstance(request.node, pytest.DoctestItem):
        import isograd

        for name in set(isograd.__all__).difference(vars(builtins)):
            doctest_namespace.setdefault(name, getattr(isograd, name))
