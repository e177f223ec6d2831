"""The training steps that are timed, by name."""

from __future__ import annotations

from collections.abc import Mapping

from workloads import cnn, gpt, lstm, mlp
from workloads.base import Workload

__all__ = ["WORKLOADS", "Workload"]

WORKLOADS: Mapping[str, Workload] = {
    "tiny": mlp.TINY,
    "eager": mlp.EAGER,
    "digits": mlp.DIGITS,
    "mlp": mlp.MNIST,
    "cnn": cnn.WORKLOAD,
    "gpt": gpt.WORKLOAD,
    "lstm": lstm.WORKLOAD,
}
