"""The array API standard 2024.12 as tables: its functions and their special cases.

The documentation's list and the tests of the namespace are made from them.

>>> from isograd.testing.array_api import ROWS
>>> [row.name for row in ROWS if row.family == "indexing"]
['take', 'take_along_axis']
"""

from isograd.testing.array_api.cases import ONE, TWO
from isograd.testing.array_api.standard import (
    ATTRIBUTES,
    CONSTANTS,
    DTYPES,
    METHODS,
    ROWS,
    Row,
    limit_of,
    list_as_markdown,
    misfits,
)

__all__ = [
    "ATTRIBUTES",
    "CONSTANTS",
    "DTYPES",
    "METHODS",
    "ONE",
    "ROWS",
    "TWO",
    "Row",
    "limit_of",
    "list_as_markdown",
    "misfits",
]
