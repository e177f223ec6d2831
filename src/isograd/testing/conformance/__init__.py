"""The conformance kit: everything that is asked of a backend, and backends that must fail.

Run it as ``isograd conform pkg.mod:factory``, or with pytest: ``pytest --pyargs
isograd.testing.conformance --isograd-backend pkg.mod:factory``.
"""

from __future__ import annotations

from isograd.testing.conformance.certificate import (
    Certificate,
    CertificateError,
    read_certificate,
)
from isograd.testing.conformance.controls import CONTROLS, Control
from isograd.testing.conformance.groups import GROUPS, MANDATORY_DTYPES, group_names, run_group
from isograd.testing.conformance.runner import conform

__all__ = [
    "CONTROLS",
    "GROUPS",
    "MANDATORY_DTYPES",
    "Certificate",
    "CertificateError",
    "Control",
    "conform",
    "group_names",
    "read_certificate",
    "run_group",
]
