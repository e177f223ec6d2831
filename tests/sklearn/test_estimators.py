"""Estimators: scikit-learn's own checks, and what they are for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn

sklearn = pytest.importorskip("sklearn", reason="estimators need scikit-learn")

from sklearn.datasets import load_iris  # noqa: E402
from sklearn.model_selection import GridSearchCV  # noqa: E402
from sklearn.pipeline import make_pipeline  # noqa: E402
from sklearn.preprocessing import StandardScaler  # noqa: E402
from sklearn.utils.estimator_checks import check_estimator  # noqa: E402

from isograd.sklearn import IsogradClassifier, IsogradRegressor  # noqa: E402


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@pytest.mark.parametrize("kind", [IsogradClassifier, IsogradRegressor])
def test_the_checks_of_scikit_learn(kind: Any) -> None:
    results = check_estimator(kind(epochs=30), on_fail=None)
    failed = [(r["check_name"], r["exception"]) for r in results if r["status"] == "failed"]
    assert not failed
    assert sum(r["status"] == "passed" for r in results) > 40


def test_grid_search_in_a_pipeline() -> None:
    X, y = load_iris(return_X_y=True)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), IsogradClassifier(epochs=15, random_state=0)),
        {"isogradclassifier__hidden": [(), (16,)]},
        cv=3,
    )
    assert search.fit(X, y).best_score_ > 0.8
    probabilities = search.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0)


def test_a_module_of_ones_own_and_early_stopping() -> None:
    def make(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(inputs, 8), nn.Tanh(), nn.Linear(8, outputs))

    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 2))
    y = np.stack([X[:, 0] * X[:, 1], X[:, 0]], axis=1)
    state = ig.random.default_generator.state_dict()
    model = IsogradRegressor(make, epochs=200, patience=5, compiled=True, random_state=1).fit(X, y)
    assert ig.random.default_generator.state_dict() == state
    assert len(model.history_) < 200
    assert model.predict(X).shape == (200, 2)
    assert model.score(X, y) > 0.9
    assert isinstance(model.module_[1], nn.Tanh)
