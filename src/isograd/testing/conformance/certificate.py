"""The certificate: what a backend was asked and how it did, with a hash over all of it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import isograd as ig
from isograd.backend import PROTOCOL_VERSION
from isograd.core.errors import IsogradError
from isograd.testing.report import Cell

__all__ = ["Certificate", "CertificateError", "described", "facts_of", "read_certificate", "sealed"]

FORMAT = 1


class CertificateError(IsogradError, ValueError):
    """A certificate that cannot be read, or whose hash does not fit its content.

    Mistake: changing a verdict in the file.
    Fix: run ``isograd conform`` again.
    """


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a certificate's content with the hash of it.

    Examples
    --------
    >>> len(sealed({"conforms": True})["sha256"])
    64
    """
    body = {key: value for key, value in content.items() if key != "sha256"}
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return {**body, "sha256": hashlib.sha256(text.encode()).hexdigest()}


@dataclasses.dataclass(frozen=True)
class Certificate:
    """The result of a conformance run; true where the backend conforms.

    Attributes
    ----------
    factory : str
        What was run.
    facts : mapping of str to str
        Name, versions, machine.
    groups : mapping of str to list of Cell
        The cells of each group that was run.
    complete : bool
        Whether every group was run on every operation, to the end.
    """

    factory: str
    facts: Mapping[str, str]
    groups: Mapping[str, Sequence[Cell]]
    complete: bool = True

    @property
    def failures(self) -> list[tuple[str, Cell]]:
        """The failing cells with their groups."""
        return [(g, c) for g, cells in self.groups.items() for c in cells if not c.ok]

    @property
    def conforms(self) -> bool:
        """Whether every group was run, has cells, and none fails."""
        return self.complete and all(self.groups.values()) and not self.failures

    def __bool__(self) -> bool:
        return self.conforms

    def __str__(self) -> str:
        rows = [
            f"  {name:13} {sum(c.ok for c in cells):5} pass {sum(not c.ok for c in cells):5} fail"
            for name, cells in self.groups.items()
        ]
        verdict = "conforms" if self.conforms else "does NOT conform"
        if not self.complete and not self.failures:
            verdict = "passes what was run"
        lines = [f"{self.factory} {verdict}", *rows]
        lines += [f"{group}: {cell}" for group, cell in self.failures[:20]]
        hidden = len(self.failures) - 20
        return "\n".join([*lines, f"... and {hidden} more failures"] if hidden > 0 else lines)

    def as_dict(self) -> dict[str, Any]:
        """Return the certificate as JSON holds it, with its hash."""
        content = {
            "kind": "isograd conformance",
            "format": FORMAT,
            "factory": self.factory,
            "conforms": self.conforms,
            "complete": self.complete,
            "facts": dict(self.facts),
            "groups": {
                name: {
                    "passed": sum(c.ok for c in cells),
                    "failed": sum(not c.ok for c in cells),
                    "comparisons": sum(c.count for c in cells),
                    "cells": [c.as_dict() for c in cells],
                }
                for name, cells in self.groups.items()
            },
        }
        return sealed(content)

    def to_json(self) -> str:
        """Return the certificate as stable JSON text."""
        return json.dumps(self.as_dict(), indent=1, sort_keys=True) + "\n"


def facts_of(backend: Any) -> dict[str, str]:
    """Return what identifies a backend and where it ran."""
    return {
        "backend": backend.name,
        "version": backend.version,
        "protocol": str(PROTOCOL_VERSION),
        "isograd": ig.__version__,
        "numpy": np.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        **{f"backend: {key}": value for key, value in described(backend).items()},
    }


def described(backend: Any) -> dict[str, str]:
    """Return what a backend says of itself, but for its caches, which differ from run to run."""
    facts = backend.describe().items()
    return {key: value for key, value in facts if not key.startswith(("kernel", "cache"))}


def read_certificate(text: str, *, partial: bool = False) -> dict[str, Any]:
    """Return a certificate's content, if its hash fits.

    Parameters
    ----------
    text
        What ``--json`` wrote.
    partial
        Whether the result of a part is wanted too: of some groups or operations, or of a run that
        was stopped.

    Raises
    ------
    CertificateError
        If it is no certificate, was changed, or covers a part.
    """
    try:
        content = json.loads(text)
        kind, seal = content["kind"], content["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise CertificateError(
            f"read_certificate: this is no certificate ({error}); write one with isograd conform"
        ) from error
    if sealed(content)["sha256"] != seal:
        raise CertificateError(
            f"read_certificate: the content of this {kind} certificate does not fit its hash; "
            "make it again"
        )
    if content.get("complete") is False and not partial:
        raise CertificateError(
            f"read_certificate: this {kind} result covers a part only; run isograd conform to its "
            "end, without --group and --op, or pass partial=True"
        )
    return content
