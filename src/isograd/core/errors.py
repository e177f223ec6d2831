"""The errors that isograd raises. Each class shows the mistake that causes it and the fix.

Messages start with the public function's name, give the values that matter (shapes, dtypes,
devices), and end with what to do. Each class also derives from the built-in exception that a caller
would expect, so ``except ValueError`` keeps working.
"""

from __future__ import annotations

import numpy as np

__all__ = [
    "AutodiffError",
    "BackendUnavailableError",
    "CompileWarning",
    "ConcretizationError",
    "DTypeError",
    "DataFormatError",
    "DeviceLostError",
    "DeviceMismatchError",
    "IndexOutOfRangeError",
    "IsogradError",
    "LinAlgError",
    "NonFiniteError",
    "NonMappableError",
    "NotDifferentiableError",
    "NumericsWarning",
    "ShapeError",
    "StateDictError",
    "UndeclaredStateError",
    "UnknownDeviceError",
]


class IsogradError(Exception):
    """Base class of every error that isograd raises on purpose."""


class ShapeError(IsogradError, ValueError):
    """Shapes do not fit together.

    Mistake: ``zeros((3, 4)) + zeros((3,))``. Fix: give the operands shapes that broadcast, for
    example ``zeros((3, 4)) + zeros((3, 1))``.
    """


class DTypeError(IsogradError, TypeError):
    """A dtype that the function does not take.

    Mistake: ``bitwise_and(x, y)`` of two float tensors. Fix: convert first, ``x.astype(int32)``.
    """


class DeviceMismatchError(IsogradError, ValueError):
    """Arguments live on different devices; nothing is ever moved silently.

    Mistake: ``a + b`` with ``a`` on ``cpu`` and ``b`` on ``cuda``. Fix: ``a.to("cuda") + b``.
    """


class DeviceLostError(IsogradError, RuntimeError):
    """A GPU that does nothing any more in this process, since a kernel failed there or it is gone.

    CUDA tells late, so the operation that is named may be innocent.

    Mistake: a kernel of one's own that writes where it must not. Fix: start the process anew, with
    ``ISOGRAD_CUDA_DEBUG=1`` in the environment to see which kernel it is.
    """


class BackendUnavailableError(IsogradError, ImportError):
    """A backend that exists but cannot run here, with the reason.

    Mistake: ``use_backend("numba")`` without Numba. Fix: ``pip install 'isograd[numba]'``.
    """


class UnknownDeviceError(IsogradError, ValueError):
    """A device or backend name that nothing provides.

    Mistake: ``tensor([1.0], device="gpu")``. Fix: ``device="cuda"``; ``isograd doctor`` lists what
    there is.
    """


class AutodiffError(IsogradError, RuntimeError):
    """A derivative was asked for in a way that has no answer.

    Mistake: ``y.backward()`` for a ``y`` of shape ``(3,)``. Fix: ``y.sum().backward()``, or pass
    the cotangent: ``y.backward(ones_like(y))``.
    """


class NotDifferentiableError(AutodiffError):
    """A derivative was asked for where the function has none.

    Mistake: the gradient of ``linalg.svd(x)`` with all of ``U``, whose last columns are any basis
    of a space. Fix: ``linalg.svd(x, full_matrices=False)``.
    """


class ConcretizationError(IsogradError, TypeError):
    """A number was asked for where there is none: in `compile` a symbol, in `vmap` one for each.

    Mistake: ``if loss > 1.0: ...`` inside a compiled function. Fix: ``isograd.where(loss > 1.0, a,
    b)``, or decide outside.
    """


class NonMappableError(IsogradError, RuntimeError):
    """A function does what cannot be done for all examples of a `vmap` at once.

    Mistake: ``vmap(lambda x: dropout(x, p=0.5))(batch)``, which does not say whether examples share
    their random numbers. Fix: ``vmap(..., randomness="different")``.
    """


class UndeclaredStateError(IsogradError, RuntimeError):
    """A compiled function uses state that it did not declare, so that changes would be lost.

    Mistake: ``@isograd.compile`` on a function that calls ``model(x)``. Fix:
    ``@isograd.compile(state=model)``.
    """


class IndexOutOfRangeError(IsogradError, IndexError):
    """An index outside the axis it selects from; raised before anything is written.

    Mistake: ``take(x, tensor([7]), axis=0)`` with ``x`` of 3 rows. Fix: use indices in ``[-3, 2]``.
    """


class LinAlgError(IsogradError, np.linalg.LinAlgError):
    """A matrix for which the result does not exist; the message says which one of a batch.

    Mistake: ``linalg.inv(zeros((2, 2)))``. Fix: ``linalg.pinv``, or add a small multiple of the
    identity.
    """


class DataFormatError(IsogradError, ValueError):
    """A data file that is not what it claims to be.

    Mistake: an IDX file of the wrong magic number, or one that ends early. Fix: fetch the file
    again.
    """


class NonFiniteError(IsogradError, FloatingPointError):
    """A loss that is NaN or infinite, with the operation and line that made it so.

    Mistake: ``log`` of a probability that reached 0, in the loss given to ``train.fit``. Fix: what
    the message names; here ``nn.functional.log_softmax`` of the logits.
    """


class StateDictError(IsogradError, ValueError):
    """A state that does not fit the module or optimizer; nothing of it is loaded.

    The message lists every misfit.

    Mistake: ``Linear(3, 2).load_state_dict(Linear(4, 2).state_dict())``. Fix: build the module with
    the sizes that the state was saved from.
    """


class CompileWarning(UserWarning):
    """A compiled function that is traced again and again, or that cannot be kept on disk."""


class NumericsWarning(UserWarning):
    """A result that is right by IEEE and probably not meant, such as a variance of one value."""
