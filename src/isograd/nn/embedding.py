"""Tables of vectors that are looked up by number."""

from __future__ import annotations

from typing import Any, Self

from isograd.nn import functional, init
from isograd.nn.functional.embedding import row_of
from isograd.nn.module import Module, Parameter
from isograd.ops.creation import empty
from isograd.runtime.tensor import Tensor

__all__ = ["Embedding", "EmbeddingBag"]


class _Table(Module):
    """What both embeddings share: the table and its initialisation."""

    def _make_table(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None,
        weight: Tensor | None,
        freeze: bool,
        device: Any,
        dtype: Any,
    ) -> None:
        name = type(self).__name__
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.padding_idx = row_of(name, padding_idx, num_embeddings)
        shape = (num_embeddings, embedding_dim)
        if weight is None:
            self.weight = Parameter(empty(shape, dtype=dtype, device=device))
            self.reset_parameters()
        elif weight.shape != shape:
            raise ValueError(
                f"{name}: _weight has shape {weight.shape}, the sizes say {shape}; make them equal"
            )
        else:
            self.weight = Parameter(weight, requires_grad=not freeze)

    def reset_parameters(self) -> None:
        """Draw the table from the standard normal distribution; the padding row is 0."""
        init.normal_(self.weight)
        if self.padding_idx is not None:
            self.weight[self.padding_idx] = 0.0


class Embedding(_Table):
    """Return rows of a table by number.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        Rows and width of the table.
    padding_idx : int, optional
        A row that is 0 at first and gets no gradient.
    max_norm, norm_type : float
        Rows that are looked up and longer are first scaled to this norm, for good.
    scale_grad_by_freq : bool
        Whether a row's gradient is divided by the number of times that it is looked up.
    sparse : bool
        Accepted as torch does; gradients are dense all the same.
    device, dtype : optional
        Where the table lives, and its dtype.

    Attributes
    ----------
    weight : Parameter
        Shape ``(num_embeddings, embedding_dim)``, standard normal at first.

    Raises
    ------
    IndexOutOfRangeError
        If a number is no row.

    Examples
    --------
    >>> import isograd as ig
    >>> ig.nn.Embedding(10, 3)(ig.tensor([[1, 2], [4, 5]])).shape
    (2, 2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        padding_idx: int | None = None,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        sparse: bool = False,
        _weight: Tensor | None = None,
        _freeze: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.sparse = sparse
        self._make_table(
            num_embeddings, embedding_dim, padding_idx, _weight, _freeze, device, dtype
        )

    @classmethod
    def from_pretrained(
        cls, embeddings: Tensor, freeze: bool = True, padding_idx: int | None = None, **options: Any
    ) -> Self:
        """Make a layer of a table that is there, which by default is not trained.

        Examples
        --------
        >>> import isograd as ig
        >>> layer = ig.nn.Embedding.from_pretrained(ig.tensor([[1.0, 2.0], [3.0, 4.0]]))
        >>> layer(ig.tensor([1])).tolist()
        [[3.0, 4.0]]
        """
        rows, width = embeddings.shape
        return cls(rows, width, padding_idx, _weight=embeddings, _freeze=freeze, **options)

    def forward(self, ids: Tensor, /) -> Tensor:
        """Map integers ``(...)`` to ``(..., embedding_dim)``."""
        return functional.embedding(
            ids,
            self.weight,
            self.padding_idx,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.sparse,
        )

    def extra_repr(self) -> str:
        return _table_repr(self)


class EmbeddingBag(_Table):
    """Return sums, means or maxima of bags of rows of a table.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        Rows and width of the table.
    max_norm, norm_type, scale_grad_by_freq, sparse
        As for `Embedding`.
    mode : {"mean", "sum", "max"}
        What a bag gives.
    include_last_offset : bool
        Whether the last offset is the end of the last bag.
    padding_idx : int, optional
        A row that does not count as a member; 0 at first.
    device, dtype : optional
        Where the table lives, and its dtype.

    Attributes
    ----------
    weight : Parameter
        Shape ``(num_embeddings, embedding_dim)``, standard normal at first.

    Examples
    --------
    >>> import isograd as ig
    >>> layer = ig.nn.EmbeddingBag(10, 3, mode="sum")
    >>> layer(ig.tensor([1, 2, 4, 5, 4]), ig.tensor([0, 3])).shape
    (2, 3)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        max_norm: float | None = None,
        norm_type: float = 2.0,
        scale_grad_by_freq: bool = False,
        mode: str = "mean",
        sparse: bool = False,
        _weight: Tensor | None = None,
        include_last_offset: bool = False,
        padding_idx: int | None = None,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.max_norm = max_norm
        self.norm_type = norm_type
        self.scale_grad_by_freq = scale_grad_by_freq
        self.mode = mode
        self.sparse = sparse
        self.include_last_offset = include_last_offset
        self._make_table(num_embeddings, embedding_dim, padding_idx, _weight, False, device, dtype)

    @classmethod
    def from_pretrained(cls, embeddings: Tensor, freeze: bool = True, **options: Any) -> Self:
        """Make a layer of a table that is there, which by default is not trained."""
        rows, width = embeddings.shape
        made = cls(rows, width, _weight=embeddings, **options)
        made.weight.requires_grad_(not freeze)
        return made

    def forward(
        self,
        ids: Tensor,
        offsets: Tensor | None = None,
        per_sample_weights: Tensor | None = None,
    ) -> Tensor:
        """Map bags of integers to ``(bags, embedding_dim)``."""
        return functional.embedding_bag(
            ids,
            self.weight,
            offsets,
            self.max_norm,
            self.norm_type,
            self.scale_grad_by_freq,
            self.mode,
            self.sparse,
            per_sample_weights,
            self.include_last_offset,
            self.padding_idx,
        )

    def extra_repr(self) -> str:
        return _table_repr(self, mode=self.mode)


def _table_repr(table: Any, mode: str | None = None) -> str:
    parts = [f"{table.num_embeddings}, {table.embedding_dim}"]
    padding = [] if table.padding_idx is None else [f"padding_idx={table.padding_idx}"]
    parts += padding if mode is None else []
    for name, default in (("max_norm", None), ("norm_type", 2), ("scale_grad_by_freq", False)):
        if getattr(table, name) != default:
            parts.append(f"{name}={getattr(table, name)}")
    if mode is not None:
        return ", ".join([*parts, f"mode={mode!r}", *padding])
    return ", ".join(parts + (["sparse=True"] if table.sparse else []))
