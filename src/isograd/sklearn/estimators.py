"""A classifier and a regressor whose model is any module, or a multilayer perceptron."""

# scikit-learn has no types
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# pyright: reportUnknownArgumentType=false, reportUntypedBaseClass=false
# pyright: reportMissingTypeStubs=false, reportUnknownParameterType=false

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Self, cast

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from isograd.data import DataLoader, TensorDataset, random_split
from isograd.nn import Linear, Module, ReLU, Sequential
from isograd.nn import functional as F
from isograd.ops.creation import tensor
from isograd.ops.random import default_generator
from isograd.optim import AdamW
from isograd.runtime.modes import no_grad
from isograd.train import fit

__all__ = ["IsogradClassifier", "IsogradRegressor"]

Array = Any


class _Estimator(BaseEstimator):
    """What both have in common; `IsogradRegressor` describes the parameters."""

    def __init__(
        self,
        module: Callable[[int, int], Module] | None = None,
        *,
        hidden: Sequence[int] = (64,),
        epochs: int = 60,
        batch_size: int = 32,
        lr: float = 0.01,
        weight_decay: float = 0.01,
        patience: int | None = None,
        validation_fraction: float = 0.1,
        standardize: bool = True,
        compiled: bool = False,
        random_state: Any = None,
    ) -> None:
        self.module = module
        self.hidden = hidden
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.weight_decay = weight_decay
        self.patience = patience
        self.validation_fraction = validation_fraction
        self.standardize = standardize
        self.compiled = compiled
        self.random_state = random_state

    def _learn(self, X: Array, target: Array, outputs: int, loss: Any) -> None:
        """Make the module and train it; the global random state is as before afterwards."""
        seed = int(check_random_state(self.random_state).randint(2**31))
        self.mean_ = X.mean(axis=0) if self.standardize else np.zeros(X.shape[1], X.dtype)
        spread = X.std(axis=0) if self.standardize else np.ones(X.shape[1], X.dtype)
        self.scale_ = np.where(spread > 0, spread, 1).astype(X.dtype)
        before = default_generator.state_dict()
        default_generator.manual_seed(seed)
        try:
            make = self._perceptron if self.module is None else self.module
            self.module_ = make(X.shape[1], outputs).to(X.dtype)
            data: Any = TensorDataset(self._scaled(X), target)
            judged = None
            if self.patience is not None:
                share = self.validation_fraction
                data, judged = random_split(data, [1 - share, share], seed=seed)
            optimizer = AdamW(self.module_.parameters(), lr=self.lr, weight_decay=self.weight_decay)
            self.history_ = fit(
                self.module_,
                DataLoader(data, self.batch_size, shuffle=True, seed=seed),
                loss=loss,
                optimizer=optimizer,
                epochs=self.epochs,
                validation=judged,
                patience=self.patience,
                compiled=self.compiled,
                progress=False,
            )
        finally:
            default_generator.load_state_dict(before)
        self.module_.eval()

    def _perceptron(self, inputs: int, outputs: int) -> Module:
        layers: list[Module] = []
        for size in self.hidden:
            layers += [Linear(inputs, size), ReLU()]
            inputs = size
        return Sequential(*layers, Linear(inputs, outputs))

    def _scaled(self, X: Array) -> Array:
        return ((X - self.mean_) / self.scale_).astype(self.scale_.dtype)

    def _outputs(self, X: Array) -> Array:
        check_is_fitted(self)
        checked = validate_data(self, X, reset=False, dtype=[np.float64, np.float32])
        with no_grad():
            return self.module_(tensor(self._scaled(checked))).numpy()


class IsogradClassifier(ClassifierMixin, _Estimator):
    """A classifier whose scores are a module's outputs, trained with cross entropy.

    Its parameters are those of `IsogradRegressor`.

    Attributes
    ----------
    classes_ : array
        The labels, in the order of the module's outputs.
    module_ : Module
        The trained module.
    history_ : list of dict
        What `isograd.train.fit` returned.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 40)[:, None]
    >>> y = np.where(X[:, 0] > 0, "right", "left")
    >>> IsogradClassifier(random_state=0).fit(X, y).predict([[-0.5], [0.5]]).tolist()
    ['left', 'right']
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train on samples ``(n, features)`` and labels ``(n,)``."""
        features, labels = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(labels)
        self.classes_, codes = np.unique(labels, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(
                "IsogradClassifier.fit: there is only one class in y; give samples of at least 2 "
                "classes"
            )
        self._learn(features, codes.astype(np.int64), len(self.classes_), F.cross_entropy)
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, ``(n, classes)``."""
        with no_grad():
            return F.softmax(tensor(self._outputs(X)), 1).numpy()

    def predict(self, X: Any) -> Array:
        """Return the most probable label of each sample."""
        best = np.argmax(self._outputs(X), axis=1)
        return cast("Any", self.classes_)[best]


class IsogradRegressor(RegressorMixin, _Estimator):
    """A regressor whose predictions are a module's outputs, trained with the squared error.

    Targets may be ``(n,)`` or ``(n, outputs)``.

    Parameters
    ----------
    module : callable, optional
        ``module(inputs, outputs)`` makes a `Module` for so many features and outputs; a multilayer
        perceptron of the sizes ``hidden`` unless given.
    hidden : sequence of int
        Sizes of the hidden layers of the perceptron.
    epochs, batch_size : int
        As in `isograd.train.fit`.
    lr, weight_decay : float
        Of AdamW.
    patience : int, optional
        Stop after so many epochs without improvement on a part of the samples.
    validation_fraction : float
        How large that part is.
    standardize : bool
        Whether features are brought to mean 0 and variance 1 first, and the regressor's targets.
    compiled : bool
        Whether to compile the training step.
    random_state : int, RandomState or None
        Chooses the initial weights and the order of samples.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.linspace(-1, 1, 80)[:, None]
    >>> IsogradRegressor(random_state=0).fit(X, X[:, 0] ** 2).score(X, X[:, 0] ** 2) > 0.95
    True
    """

    def fit(self, X: Any, y: Any) -> Self:
        """Train on samples ``(n, features)`` and targets ``(n,)`` or ``(n, outputs)``."""
        checked: Any = validate_data(
            self, X, y, dtype=[np.float64, np.float32], multi_output=True, y_numeric=True
        )
        features, targets = checked
        dtype = features.dtype
        self._flat = targets.ndim == 1
        columns = targets.reshape(len(targets), -1).astype(dtype)
        count = columns.shape[1]
        self.target_mean_ = columns.mean(axis=0) if self.standardize else np.zeros(count, dtype)
        spread = columns.std(axis=0) if self.standardize else np.ones(count, dtype)
        self.target_scale_ = np.where(spread > 0, spread, 1).astype(dtype)
        scaled = ((columns - self.target_mean_) / self.target_scale_).astype(dtype)
        self._learn(features, scaled, count, F.mse_loss)
        return self

    def predict(self, X: Any) -> Array:
        """Return predictions of the shape of the targets."""
        found = self._outputs(X) * self.target_scale_ + self.target_mean_
        return found[:, 0] if self._flat else found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
