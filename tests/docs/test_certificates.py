"""The page of certificates is made from files whose hashes fit."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from isograd.testing.conformance import CertificateError, conform

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    spec = importlib.util.spec_from_file_location("certificates", ROOT / "tools/certificates.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PAGE", tmp_path / "page.md")
    return module


def test_the_page_has_counts_and_hashes_and_says_what_is_a_part(tool: Any, tmp_path: Path) -> None:
    part = conform("numpy", groups=["complete", "values"], ops=["add"], jobs=0)
    (tmp_path / "numpy.json").write_text(part.to_json())
    tool.main(str(tmp_path))
    page = (tmp_path / "page.md").read_text()
    assert "| complete | 1 |" in page
    assert "| edges | - |" in page
    assert f"| values | {len(part.groups['values'])} |" in page
    assert part.as_dict()["sha256"] in page
    assert (
        "**numpy** was asked a part, or stopped before the end, so this is no certificate" in page
    )


def test_a_changed_certificate_is_refused(tool: Any, tmp_path: Path) -> None:
    text = conform("numpy", groups=["complete"], ops=["add"], jobs=0).to_json()
    (tmp_path / "numpy.json").write_text(text.replace('"failed": 0', '"failed": 1'))
    with pytest.raises(CertificateError, match="hash"):
        tool.main(str(tmp_path))
    assert not (tmp_path / "page.md").exists()
