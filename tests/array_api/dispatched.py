"""Functions of SciPy and scikit-learn on tensors, for `test_dispatch`: run with SCIPY_ARRAY_API=1.

Prints one JSON object: for each call whether the result is a tensor, its distance from that of
NumPy arrays, and the distance of its gradient from central differences, where it has one.
"""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

import isograd as ig

X = np.array([[0.3, 1.5, -0.5, 0.9], [2.0, 1.0, 0.1, -1.1], [0.2, -0.4, 0.6, 1.3]])
Y = X[0] + np.array([0.1, -0.2, 0.15, 0.05])
P = np.exp(X) / np.exp(X).sum(axis=1, keepdims=True)
LABELS = np.array([0, 1, 1, 0, 1])
GUESSES = np.array([0, 1, 0, 0, 1])
SCORES = np.array([0.1, 0.7, 0.4, 0.3, 0.9])

Call = tuple[Callable[..., Any], tuple[np.ndarray, ...], bool]


def of_scipy() -> dict[str, Call]:
    """Return calls, their arguments, and whether gradients flow through."""
    import scipy.cluster.vq
    import scipy.integrate
    import scipy.optimize
    import scipy.special as special
    import scipy.stats as stats

    return {
        "special.logsumexp": (lambda x: special.logsumexp(x, axis=1), (X,), True),
        "special.logsumexp with weights": (
            lambda x, b: special.logsumexp(x, b=b, axis=1),
            (X, P),
            True,
        ),
        "special.logsumexp of all": (special.logsumexp, (X,), True),
        "special.softmax": (lambda x: special.softmax(x, axis=1)[:, 0], (X,), True),
        "special.log_softmax": (lambda x: special.log_softmax(x, axis=1)[:, 0], (X,), True),
        "special.xlogy": (special.xlogy, (X, P), True),
        "special.rel_entr": (special.rel_entr, (P, P[::-1] + 0.1), True),
        "special.erf": (special.erf, (X,), False),
        "special.gammaln": (special.gammaln, (P,), False),
        "stats.zscore": (lambda x: stats.zscore(x, axis=1)[:, 0], (X,), True),
        "stats.gmean": (lambda x: stats.gmean(x, axis=1), (P,), True),
        "stats.hmean": (lambda x: stats.hmean(x, axis=1), (P,), True),
        "stats.pmean": (lambda x: stats.pmean(x, 2, axis=1), (P,), True),
        "stats.skew": (lambda x: stats.skew(x, axis=1), (X,), True),
        "stats.kurtosis": (lambda x: stats.kurtosis(x, axis=1), (X,), True),
        "stats.moment": (lambda x: stats.moment(x, 2, axis=1), (X,), True),
        "stats.variation": (lambda x: stats.variation(x, axis=1), (P,), True),
        "stats.sem": (lambda x: stats.sem(x, axis=1), (X,), True),
        "stats.tmean": (lambda x: stats.tmean(x, axis=1), (X,), True),
        "stats.tvar": (lambda x: stats.tvar(x, axis=1), (X,), True),
        "stats.pearsonr": (lambda x, y: stats.pearsonr(x[0], y).statistic, (X, Y), True),
        "stats.ttest_ind": (lambda x: stats.ttest_ind(x[0], x[1]).statistic, (X,), True),
        "stats.directional_stats": (
            lambda x: stats.directional_stats(x).mean_direction,
            (P,),
            True,
        ),
        "integrate.trapezoid": (lambda x: scipy.integrate.trapezoid(x, axis=1), (X,), True),
        "integrate.cumulative_trapezoid": (
            lambda x: scipy.integrate.cumulative_trapezoid(x, axis=1),
            (X,),
            True,
        ),
        "optimize.rosen": (scipy.optimize.rosen, (X,), True),
        "cluster.vq.whiten": (scipy.cluster.vq.whiten, (X,), True),
        "cluster.vq.vq": (lambda x, y: scipy.cluster.vq.vq(x, y)[1], (X, P), False),
    }


def of_sklearn() -> dict[str, Call]:
    """Return the same for scikit-learn."""
    import sklearn
    from sklearn import decomposition, discriminant_analysis, linear_model, metrics, preprocessing

    sklearn.set_config(array_api_dispatch=True)
    pairwise = metrics.pairwise
    return {
        "accuracy_score": (metrics.accuracy_score, (LABELS, GUESSES), False),
        "f1_score": (metrics.f1_score, (LABELS, GUESSES), False),
        "confusion_matrix": (metrics.confusion_matrix, (LABELS, GUESSES), False),
        "roc_auc_score": (metrics.roc_auc_score, (LABELS, SCORES), False),
        "log_loss": (metrics.log_loss, (LABELS, SCORES), False),
        "r2_score": (metrics.r2_score, (X[0], Y), False),
        "mean_squared_error": (metrics.mean_squared_error, (X[0], Y), False),
        "mean_absolute_error": (metrics.mean_absolute_error, (X[0], Y), False),
        "cosine_similarity": (pairwise.cosine_similarity, (X,), False),
        "euclidean_distances": (pairwise.euclidean_distances, (X,), False),
        "rbf_kernel": (pairwise.rbf_kernel, (X,), False),
        "StandardScaler": (lambda x: preprocessing.StandardScaler().fit_transform(x), (X,), False),
        "MinMaxScaler": (lambda x: preprocessing.MinMaxScaler().fit_transform(x), (X,), False),
        "Normalizer": (lambda x: preprocessing.Normalizer().fit_transform(x), (X,), False),
        "PolynomialFeatures": (
            lambda x: preprocessing.PolynomialFeatures().fit_transform(x),
            (X,),
            False,
        ),
        "LinearRegression": (
            lambda x, y: linear_model.LinearRegression().fit(x, y).coef_,
            (X.T[:, :2], Y),
            False,
        ),
        "Ridge": (
            lambda x, y: linear_model.Ridge(solver="svd").fit(x, y).coef_,
            (X.T[:, :2], Y),
            False,
        ),
        "PCA": (
            lambda x: decomposition.PCA(2, svd_solver="covariance_eigh").fit_transform(x),
            (X.T,),
            False,
        ),
        "LinearDiscriminantAnalysis": (
            lambda x, y: discriminant_analysis.LinearDiscriminantAnalysis().fit(x, y).predict(x),
            (np.vander(SCORES, 2), LABELS),
            False,
        ),
    }


def numeric(function: Callable[..., Any], arrays: tuple[np.ndarray, ...]) -> np.ndarray:
    """Return central differences of the sum of a function by its first argument."""
    first, rest = arrays[0], arrays[1:]
    out = np.empty_like(first)
    for index in np.ndindex(first.shape):
        step = np.zeros_like(first)
        step[index] = 1e-5
        high, low = (np.sum(function(first + s, *rest)) for s in (step, -step))
        out[index] = (high - low) / 2e-5
    return out


def distance(value: Any, right: Any) -> float:
    return float(np.max(np.abs(np.asarray(value, np.float64) - np.asarray(right)), initial=0.0))


def report(call: Call) -> dict[str, Any]:
    """Return what came of a call."""
    function, arrays, flows = call
    right = function(*arrays)
    leaves = [ig.tensor(a, requires_grad=flows and a.dtype.kind == "f") for a in arrays]
    out = function(*leaves)
    found: dict[str, Any] = {
        "tensor": isinstance(out, ig.Tensor) or np.ndim(right) == 0,
        "value": distance(out.detach() if isinstance(out, ig.Tensor) else out, right),
    }
    if flows:
        out.sum().backward()
        found["gradient"] = distance(leaves[0].grad, numeric(function, arrays))
    return found


if __name__ == "__main__":
    warnings.simplefilter("error")
    assert os.environ.get("SCIPY_ARRAY_API") == "1"
    calls = of_scipy() if sys.argv[1] == "scipy" else of_sklearn()
    print(json.dumps({name: report(call) for name, call in calls.items()}))
