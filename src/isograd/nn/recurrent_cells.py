"""Single steps of recurrent networks: what a loop of your own calls."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from isograd.core.errors import ShapeError
from isograd.nn import functional as F
from isograd.nn import init
from isograd.nn.functional import _recurrent as r
from isograd.nn.module import Module, Parameter
from isograd.ops import fused
from isograd.ops.creation import empty, zeros
from isograd.runtime.tensor import Tensor

__all__ = ["GRUCell", "LSTMCell", "RNNCell", "RNNCellBase", "check_nonlinearity"]


def check_nonlinearity(function: str, nonlinearity: str) -> None:
    """Raise unless it is one of torch's two."""
    if nonlinearity not in ("tanh", "relu"):
        raise ValueError(
            f"{function}: there is no nonlinearity {nonlinearity!r}; use 'tanh' or 'relu'"
        )


class RNNCellBase(Module):
    """Base class of cells: weights of ``num_chunks * hidden_size`` rows; the batch may be absent.

    Parameters
    ----------
    input_size, hidden_size : int
        Features of the input, and of the state.
    bias : bool
        Whether gates have biases.
    num_chunks : int
        The number of gates.
    device, dtype : optional
        Where the parameters live, and their dtype.
    """

    _states: ClassVar[int] = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size

        def make(*shape: int) -> Parameter:
            return Parameter(empty(shape, dtype=dtype, device=device))

        self.weight_ih = make(rows, input_size)
        self.weight_hh = make(rows, hidden_size)
        self.bias_ih = make(rows) if bias else None
        self.bias_hh = make(rows) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights evenly from ``[-k, k)`` with ``k = 1 / sqrt(hidden_size)``."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size else 0.0
        for param in self.parameters():
            init.uniform_(param, -bound, bound)

    def _states_of(self, x: Tensor, hx: Any) -> list[Tensor]:
        name = type(self).__name__
        if x.ndim not in (1, 2) or x.shape[-1] != self.input_size:
            raise ShapeError(
                f"{name}: the input has shape {x.shape}; pass (N, {self.input_size}) or "
                f"({self.input_size},)"
            )
        shape = (*x.shape[:-1], self.hidden_size)
        if hx is None:
            return [zeros(shape, dtype=x.dtype, device=x.device) for _ in range(self._states)]
        given = [hx] if isinstance(hx, Tensor) else list(hx)
        if [t.shape for t in given] != [shape] * self._states:
            raise ShapeError(
                f"{name}: the states have shapes {[t.shape for t in given]}, but an input of shape "
                f"{x.shape} needs {[shape] * self._states}; pass these, or None for zeros"
            )
        return given

    def _shares(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        return F.linear(x, self.weight_ih, self.bias_ih), F.linear(
            hidden, self.weight_hh, self.bias_hh
        )

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class LSTMCell(RNNCellBase):
    """One step of `LSTM`.

    Examples
    --------
    >>> import isograd as ig
    >>> h, c = ig.nn.LSTMCell(3, 5)(ig.ones((2, 3)))
    >>> h.shape, c.shape
    ((2, 5), (2, 5))
    """

    _states = 2

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, x: Tensor, hx: Any = None, /) -> tuple[Tensor, Tensor]:
        """Return the next ``(h, c)`` for an input ``(N, input_size)``; N may be absent."""
        hidden, cell = self._states_of(x, hx)
        of_input, of_hidden = self._shares(x, hidden)
        h, c = fused.lstm_cell(of_input + of_hidden, cell)
        return h, c


class GRUCell(RNNCellBase):
    """One step of `GRU`.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.GRUCell(3, 5)(ig.ones((2, 3))).shape
    (2, 5)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, x: Tensor, hx: Tensor | None = None, /) -> Tensor:
        """Return the next state for an input ``(N, input_size)``; N may be absent."""
        (hidden,) = self._states_of(x, hx)
        return fused.gru_cell(*self._shares(x, hidden), hidden)


class RNNCell(RNNCellBase):
    """One step of `RNN`.

    Parameters
    ----------
    nonlinearity : {"tanh", "relu"}
        What is applied.

    Raises
    ------
    ValueError
        If the nonlinearity is neither.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.RNNCell(3, 5)(ig.ones((2, 3))).shape
    (2, 5)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        check_nonlinearity("RNNCell", nonlinearity)
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, x: Tensor, hx: Tensor | None = None, /) -> Tensor:
        """Return the next state for an input ``(N, input_size)``; N may be absent."""
        (hidden,) = self._states_of(x, hx)
        of_input, of_hidden = self._shares(x, hidden)
        return r.rnn_step(of_input + of_hidden, self.nonlinearity)

    def extra_repr(self) -> str:
        extra = super().extra_repr()
        return extra if self.nonlinearity == "tanh" else f"{extra}, nonlinearity=relu"
