"""Data sets and the loader that batches them.

>>> from isograd.data import DataLoader, load_digits
>>> train, test = load_digits(flatten=True)
>>> images, labels = next(iter(DataLoader(train, batch_size=32, shuffle=True)))
>>> images.shape, labels.shape
((32, 64), (32,))
"""

from isograd.data.collate import default_collate
from isograd.data.dataset import ConcatDataset, Dataset, Subset, TensorDataset, random_split
from isograd.data.idx import load_idx
from isograd.data.images import Splits, load_digits, load_fashion_mnist
from isograd.data.loader import DataLoader
from isograd.data.sampler import (
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from isograd.data.text import CharVocabulary, TextDataset, load_text

__all__ = [
    "CharVocabulary",
    "ConcatDataset",
    "DataLoader",
    "Dataset",
    "RandomSampler",
    "Sampler",
    "SequentialSampler",
    "Splits",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "TextDataset",
    "WeightedRandomSampler",
    "default_collate",
    "load_digits",
    "load_fashion_mnist",
    "load_idx",
    "load_text",
    "random_split",
]
