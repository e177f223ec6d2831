"""Models as estimators of scikit-learn: in pipelines, grid searches and cross-validation.

Needs scikit-learn (``pip install 'isograd[sklearn]'``).

>>> from isograd.sklearn import IsogradClassifier
>>> from sklearn.datasets import load_iris
>>> X, y = load_iris(return_X_y=True)
>>> IsogradClassifier(epochs=20, random_state=0).fit(X, y).score(X, y) > 0.9
True
"""

from isograd.core.optional import require

require("isograd.sklearn", "sklearn.base", "sklearn")

from isograd.sklearn.estimators import IsogradClassifier, IsogradRegressor  # noqa: E402

__all__ = ["IsogradClassifier", "IsogradRegressor"]
