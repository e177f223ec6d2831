"""The conformance kit passes right backends, and fails each broken one where it should."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd.testing.conformance import (
    CONTROLS,
    GROUPS,
    CertificateError,
    Control,
    conform,
    group_names,
    read_certificate,
)

FEW = ["add", "exp", "sum", "matmul", "dropout", "softmax", "take", "random_bits", "tanh"]


@pytest.mark.parametrize("control", CONTROLS[:-1], ids=lambda c: c.family)
def test_each_control_fails_in_its_group(control: Control) -> None:
    ops = None if control.op == "*" else [control.op]
    right = conform("numpy", groups=[control.group], ops=ops, jobs=0)
    assert not right.failures
    assert right.groups[control.group]
    found = conform(control.make(), groups=[control.group], ops=ops, jobs=0)
    assert found.failures, f"{control.group} did not see {control.family}"
    assert not found.conforms


def test_every_group_has_a_control() -> None:
    caught = {control.group for control in CONTROLS}
    # These compare the library's own rules, which a backend cannot break on its own.
    assert set(group_names()) - caught == {"derivatives", "tangents", "definitions", "refusals"}
    assert len(CONTROLS) >= 15
    assert len({control.family for control in CONTROLS}) == len(CONTROLS)


def crashing() -> Any:
    return CONTROLS[-1].make()


def test_a_crash_is_one_failing_cell(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conform_crash.py").write_text(
        "from isograd.testing.conformance import CONTROLS\n\n"
        "def create():\n    return CONTROLS[-1].make()\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    seen: list[str] = []
    found = conform(
        "conform_crash:create",
        groups=["values"],
        ops=["log", "log2", "log10"],
        progress=lambda done, total, what: seen.append(f"{done}/{total} {what}"),
    )
    assert seen == ["1/3 values: log", "2/3 values: log2", "3/3 values: log10"]
    ((group, cell),) = found.failures
    assert (group, cell.op) == ("values", "log2")
    assert "SIGABRT" in cell.message
    assert {c.op for c in found.groups["values"] if c.ok} == {"log", "log10"}


def test_right_backends_pass_a_choice(backend: str) -> None:
    found = conform(backend, ops=FEW, jobs=0)
    assert not found.failures, str(found)
    assert not found.conforms  # the choice was not everything
    assert "passes what was run" in str(found)
    assert set(found.groups) == set(group_names())


def test_certificates_are_stable_and_sealed() -> None:
    first, again = (conform("numpy", groups=["values"], ops=["add"], jobs=0) for _ in range(2))
    assert first.to_json() == again.to_json()
    with pytest.raises(CertificateError, match="a part only"):
        read_certificate(first.to_json())
    content = read_certificate(first.to_json(), partial=True)
    assert content["facts"]["backend"] == "numpy"
    assert content["groups"]["values"]["failed"] == 0
    changed = json.loads(first.to_json())
    changed["conforms"] = True
    with pytest.raises(CertificateError, match="hash"):
        read_certificate(json.dumps(changed))
    for text in ("", "[]", "{}"):
        with pytest.raises(CertificateError, match="no certificate"):
            read_certificate(text)


def test_a_complete_certificate_says_that_it_conforms() -> None:
    from isograd.testing import Cell
    from isograd.testing.conformance.certificate import Certificate

    cell = Cell("add", "forward", "x", "float32", "pass", count=1)
    assert Certificate("x", {}, {"values": [cell]})
    assert not Certificate("x", {}, {"values": [cell], "types": []})
    assert not Certificate("x", {}, {"values": [cell]}, complete=False)


def test_unknown_groups_and_raising_kernels() -> None:
    with pytest.raises(KeyError, match="choose from"):
        conform("numpy", groups=["everything"])

    class Raising:
        def __init__(self) -> None:
            with ig.use_backend("numpy") as inner:
                self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def capabilities(self) -> Any:
            raise RuntimeError("no driver")

    raising = Raising()
    found = conform(raising, groups=["values"], ops=["add"], jobs=0)
    assert "RuntimeError: no driver" in found.failures[0][1].message


def test_groups_say_what_they_demand() -> None:
    for group in GROUPS.values():
        assert group.demands
    assert np.all([len(name) <= 13 for name in group_names()])
