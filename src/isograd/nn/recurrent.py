"""Recurrent layers and their cells, with torch's weights: each layer is one loop over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from isograd.core.errors import ShapeError
from isograd.nn import functional as F
from isograd.nn import init
from isograd.nn.functional import _recurrent as r
from isograd.nn.module import Module, Parameter
from isograd.nn.recurrent_cells import check_nonlinearity
from isograd.nn.utils.rnn import PackedSequence, pack, unpack
from isograd.ops.convert import is_traced
from isograd.ops.creation import asarray, empty, zeros
from isograd.ops.elementwise import where
from isograd.ops.indexing import take
from isograd.ops.movement import concat, permute_dims, reshape, stack
from isograd.ops.recurrent import SIZES
from isograd.runtime.tensor import Tensor

__all__ = ["GRU", "LSTM", "RNN", "RNNBase"]


class RNNBase(Module):
    """Base class of `LSTM`, `GRU` and `RNN`: weights by layer and direction, and runs over them.

    Parameters
    ----------
    mode : {"LSTM", "GRU", "RNN_TANH", "RNN_RELU"}
        What is run. The other arguments are those of `LSTM`.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if mode not in SIZES:
            raise ValueError(f"{name}: there is no mode {mode!r}; use one of {', '.join(SIZES)}")
        if proj_size and mode != "LSTM":
            raise ValueError(f"{name}: proj_size is for LSTM only; leave it out")
        if min(input_size, hidden_size - 1, num_layers - 1) < 0:
            raise ValueError(
                f"{name}: input_size={input_size}, hidden_size={hidden_size}, num_layers="
                f"{num_layers} must be at least 0, 1 and 1; use larger numbers"
            )
        if not 0 <= dropout <= 1:
            raise ValueError(f"{name}: dropout={dropout} is no probability; use 0 to 1")
        if not 0 <= proj_size < hidden_size:
            raise ValueError(
                f"{name}: proj_size={proj_size} is not below hidden_size={hidden_size}; use a "
                "smaller one, or 0 for none"
            )
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        rows, width = SIZES[mode][0] * hidden_size, proj_size or hidden_size
        for layer in range(num_layers):
            inputs = input_size if layer == 0 else width * (1 + bidirectional)
            shapes: dict[str, tuple[int, ...]] = {
                "weight_ih": (rows, inputs),
                "weight_hh": (rows, width),
            }
            if bias:
                shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
            if proj_size:
                shapes["weight_hr"] = (proj_size, hidden_size)
            for suffix in self._suffixes(layer):
                for part, shape in shapes.items():
                    made = Parameter(empty(shape, dtype=dtype, device=device))
                    self.register_parameter(part + suffix, made)
        self.reset_parameters()

    def _suffixes(self, layer: int) -> list[str]:
        return [f"_l{layer}"] + ([f"_l{layer}_reverse"] if self.bidirectional else [])

    def reset_parameters(self) -> None:
        """Draw all weights evenly from ``[-k, k)`` with ``k = 1 / sqrt(hidden_size)``."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for param in self.parameters():
            init.uniform_(param, -bound, bound)

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        named = dict(self._own_parameters())
        suffixes = [s for layer in range(self.num_layers) for s in self._suffixes(layer)]
        return [
            [param for name, param in named.items() if name.endswith(f"h{suffix}")]
            + [param for name, param in named.items() if name == f"weight_hr{suffix}"]
            for suffix in suffixes
        ]

    def flatten_parameters(self) -> None:
        """Do nothing: torch lays its weights out for cuDNN here."""

    def _weights(self, suffix: str) -> r.Weights:
        def part(name: str) -> Any:
            return getattr(self, name + suffix, None)

        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh", "weight_hr")
        return r.Weights(*[part(name) for name in names])

    def _sizes(self) -> list[int]:
        """Return the width of each state: the output, and for LSTM the cell."""
        return [self.proj_size or self.hidden_size, self.hidden_size][: SIZES[self.mode][1]]

    def _first_states(self, hx: Any, x: Tensor, batched: bool) -> list[Tensor]:
        """Return the given states as (layers * directions, N, width), or zeros."""
        count, name = self.num_layers * (1 + self.bidirectional), type(self).__name__
        shapes = [(count, x.shape[1], size) for size in self._sizes()]
        if hx is None:
            return [zeros(shape, dtype=x.dtype, device=x.device) for shape in shapes]
        given = [hx] if isinstance(hx, Tensor) else list(hx)
        wanted = [s if batched else (s[0], s[2]) for s in shapes]
        if [t.shape for t in given] != wanted:
            raise ShapeError(
                f"{name}: the first states have shapes {[t.shape for t in given]}, but {wanted} "
                "are needed for (layers * directions, N, width); pass these, or None for zeros"
            )
        return [reshape(t, shape) for t, shape in zip(given, shapes, strict=True)]

    def _run(
        self, x: Tensor, states: list[Tensor], mask: Tensor | None
    ) -> tuple[Tensor, list[Tensor]]:
        """Run all layers over ``(T, N, inputs)``."""
        last: list[r.Carry] = []
        for layer in range(self.num_layers):
            if layer and self.dropout and self.training:
                x = F.dropout(x, self.dropout)
            outputs: list[Tensor] = []
            for suffix in self._suffixes(layer):
                carry = tuple([state[len(last)] for state in states])
                out, carry = r.run(
                    self.mode,
                    x,
                    carry,
                    self._weights(suffix),
                    reverse=suffix.endswith("reverse"),
                    mask=mask,
                )
                outputs.append(out)
                last.append(carry)
            x = outputs[0] if len(outputs) == 1 else concat(outputs, axis=-1)
        return x, [stack(list(column)) for column in zip(*last, strict=True)]

    def forward(
        self, x: Any, hx: Any = None, /, *, lengths: Sequence[int] | Tensor | None = None
    ) -> tuple[Any, Any]:
        """Run over a sequence.

        Parameters
        ----------
        x : Tensor or PackedSequence
            Shape ``(T, N, input_size)``, or ``(N, T, input_size)`` where ``batch_first``, or
            ``(T, input_size)`` for one sequence.
        hx : Tensor or pair of Tensor, optional
            The first states, ``(layers * directions, N, width)``; zeros unless given. LSTM takes a
            pair ``(h, c)``.
        lengths : sequence of int or Tensor, optional
            Of each sequence of a padded batch, in any order. What is behind does not matter:
            outputs there are 0, and the last states are those at each sequence's end.

        Returns
        -------
        output, hn
            The outputs of the last layer like ``x``, directions side by side; and the last states
            like ``hx``.

        Raises
        ------
        ShapeError
            If a shape does not fit.
        ValueError
            If a length is below 1 or above T.
        """
        if isinstance(x, PackedSequence):
            return self._forward_packed(x, hx)
        batched = x.ndim == 3
        if x.ndim not in (2, 3) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{type(self).__name__}: the input has shape {x.shape}; pass (T, N, "
                f"{self.input_size}), the first two exchanged where batch_first, or (T, "
                f"{self.input_size})"
            )
        if not batched:
            x = reshape(x, (x.shape[0], 1, x.shape[1]))
        elif self.batch_first:
            x = permute_dims(x, (1, 0, 2))
        if x.shape[0] == 0:
            raise ShapeError(f"{type(self).__name__}: the sequence has no steps; pass at least one")
        states = self._first_states(hx, x, batched)
        mask = None
        if lengths is not None:
            mask = self._mask(x, lengths)
            x = where(mask, x, 0)  # so that NaN behind an end reaches no gradient
        out, states = self._run(x, states, mask)
        if not batched:
            out, states = out[:, 0], [state[:, 0] for state in states]
        elif self.batch_first:
            out = permute_dims(out, (1, 0, 2))
        return out, self._returned(states)

    def _returned(self, states: list[Tensor]) -> Any:
        return states[0] if len(states) == 1 else tuple(states)

    def _mask(self, x: Tensor, lengths: Sequence[int] | Tensor) -> Tensor:
        steps, batch = x.shape[:2]
        wanted = lengths if isinstance(lengths, Tensor) else asarray(lengths, device=x.device)
        if wanted.shape != (batch,):
            raise ShapeError(
                f"{type(self).__name__}: lengths have shape {wanted.shape} for a batch of {batch}; "
                "pass one for each sequence"
            )
        if not isinstance(lengths, Tensor) or not is_traced(lengths):
            values = wanted.numpy()
            if batch and not (1 <= values.min() and values.max() <= steps):
                raise ValueError(
                    f"{type(self).__name__}: lengths {values.tolist()} do not fit {steps} steps; "
                    f"pass numbers from 1 to {steps}"
                )
        time = asarray(np.arange(steps), device=x.device)
        return reshape(time, (steps, 1, 1)) < reshape(wanted, (1, batch, 1))

    def _forward_packed(self, x: PackedSequence, hx: Any) -> tuple[Any, Any]:
        padded, lengths = unpack(x)
        if padded.shape[-1] != self.input_size:
            raise ShapeError(
                f"{type(self).__name__}: the packed input has {padded.shape[-1]} features, the "
                f"layer input_size={self.input_size}; make them equal"
            )
        states = self._first_states(hx, padded, True)
        if x.sorted_indices is not None and hx is not None:
            states = [take(state, x.sorted_indices, axis=1) for state in states]
        whole = bool((lengths == padded.shape[0]).all())
        mask = None if whole else self._mask(padded, asarray(lengths, device=padded.device))
        out, states = self._run(padded, states, mask)
        if x.unsorted_indices is not None:
            states = [take(state, x.unsorted_indices, axis=1) for state in states]
        return x._replace(data=pack(out, x.batch_sizes)), self._returned(states)

    def extra_repr(self) -> str:
        parts = [f"{self.input_size}, {self.hidden_size}"]
        for name, default in (
            ("proj_size", 0),
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0.0),
            ("bidirectional", False),
        ):
            if getattr(self, name) != default:
                parts.append(f"{name}={getattr(self, name)}")
        return ", ".join(parts)


class LSTM(RNNBase):
    """Long short-term memory: ``c = f c + i g, h = o tanh(c)`` with gates from input and state.

    Parameters
    ----------
    input_size, hidden_size : int
        Features of the input, and of the state.
    num_layers : int
        Layers, each run over the outputs of the one before.
    bias : bool
        Whether gates have biases.
    batch_first : bool
        Whether sequences are ``(N, T, features)``; states are not concerned.
    dropout : float
        The probability of dropout between layers while training.
    bidirectional : bool
        Whether each layer also runs from the end, with weights of its own.
    proj_size : int
        The features that the state ``h`` is mapped to, if not 0.
    device, dtype : optional
        Where the parameters live, and their dtype.

    Attributes
    ----------
    weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0 : Parameter
        Of layer 0: shapes ``(4 hidden, input)``, ``(4 hidden, hidden)`` and ``(4 hidden,)``, the
        gates in the order input, forgetting, candidate, output. Other layers and the reverse
        direction have names that end with ``_l1`` and ``_l0_reverse``.

    Raises
    ------
    ValueError
        If a number is too small.

    Notes
    -----
    S. Hochreiter, J. Schmidhuber: Long short-term memory, 1997.

    Examples
    --------
    >>> import isograd as ig
    >>> layer = ig.nn.LSTM(3, 5, batch_first=True)
    >>> out, (h, c) = layer(ig.ones((2, 7, 3)))
    >>> out.shape, h.shape, c.shape
    ((2, 7, 5), (1, 2, 5), (1, 2, 5))
    >>> out, (h, c) = layer(ig.ones((2, 7, 3)), lengths=[7, 4])
    >>> bool((out[1, 4:] == 0).all()), bool((h[0, 1] == out[1, 3]).all())
    (True, True)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "LSTM",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            proj_size,
            device,
            dtype,
        )


class GRU(RNNBase):
    """Gated recurrent unit; arguments are those of `LSTM`, without ``proj_size``.

    Gates are in the order reset, update, candidate.

    Notes
    -----
    K. Cho and others: Learning phrase representations using RNN encoder-decoder, 2014.

    Examples
    --------
    >>> import isograd as ig
    >>> out, h = ig.nn.GRU(3, 5, bidirectional=True)(ig.ones((7, 2, 3)))
    >>> out.shape, h.shape
    ((7, 2, 10), (2, 2, 5))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "GRU",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
        )


class RNN(RNNBase):
    """``h = tanh(W x + U h + b)``; arguments are those of `LSTM`, without ``proj_size``.

    Parameters
    ----------
    nonlinearity : {"tanh", "relu"}
        What is applied in each step.

    Raises
    ------
    ValueError
        If the nonlinearity is neither.

    Examples
    --------
    >>> import isograd as ig
    >>> out, h = ig.nn.RNN(3, 5, nonlinearity="relu")(ig.ones((7, 3)))
    >>> out.shape, h.shape
    ((7, 5), (1, 5))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        check_nonlinearity("RNN", nonlinearity)
        self.nonlinearity = nonlinearity
        super().__init__(
            f"RNN_{nonlinearity.upper()}",
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            0,
            device,
            dtype,
        )
