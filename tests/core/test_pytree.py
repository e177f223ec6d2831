from collections import OrderedDict
from typing import NamedTuple

import pytest

import isograd as ig


class Point(NamedTuple):
    x: object
    y: object


def test_trees_come_back_as_they_were():
    tree = {"a": (1, [2, None]), "b": Point(3, {"c": 4})}
    leaves, structure = ig.tree_flatten(tree)
    assert leaves == [1, 2, 3, 4]
    assert ig.tree_unflatten(structure, leaves) == tree
    assert isinstance(ig.tree_unflatten(structure, leaves)["b"], Point)
    hash(structure)


def test_structures_compare():
    def structure(tree):
        return ig.tree_flatten(tree)[1]

    assert structure((1, 2)) == structure((3, 4))
    assert structure((1, 2)) != structure([1, 2])
    assert structure({"a": 1}) != structure({"b": 1})


def test_tree_map_refuses_other_structures():
    assert ig.tree_map(lambda a, b: a * b, [2, (3,)], [4, (5,)]) == [8, (15,)]
    with pytest.raises(ValueError, match="tree 2 is built differently"):
        ig.tree_map(lambda a, b: a, [1], (1,))


def test_classes_can_register_once():
    class Box:
        def __init__(self, item):
            self.item = item

    ig.register_pytree(Box, lambda box: ([box.item], None), lambda _, items: Box(*items))
    assert ig.tree_map(lambda v: v + 1, Box(1)).item == 2
    with pytest.raises(ValueError, match="registered already"):
        ig.register_pytree(Box, lambda box: ([], None), lambda _, items: Box(0))


def test_subclasses_of_containers_are_leaves_unless_registered():
    tree = OrderedDict(a=1)
    assert ig.tree_flatten(tree)[0] == [tree]
