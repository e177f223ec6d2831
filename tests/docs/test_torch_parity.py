"""The page of what of torch is here: complete, and of today."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.oracle
def test_every_difference_from_torch_has_a_reason() -> None:
    torch = pytest.importorskip("torch")
    spec = importlib.util.spec_from_file_location("parity", ROOT / "tools" / "torch_parity.py")
    assert spec is not None
    assert spec.loader is not None
    parity = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(parity)
    if not torch.__version__.startswith(parity.VERSION):
        pytest.skip(f"the page compares with torch {parity.VERSION}, not {torch.__version__}")
    _, page = parity.compare()
    assert page == parity.PAGE.read_text(encoding="utf-8"), "run tools/torch_parity.py --write"
