import copy
import pickle

import pytest

import isograd as ig


def test_equal_devices_are_one_object():
    first = ig.device("cuda:1")
    assert first is ig.Device("cuda", 1)
    assert copy.deepcopy(first) is first
    assert pickle.loads(pickle.dumps(first)) is first
    assert str(first) == "cuda:1"
    assert str(ig.device("cuda:0")) == "cuda"


@pytest.mark.parametrize("bad", ["", "cpu:", "cpu:x", "cpu:-1", "c pu", 3, None])
def test_what_is_no_device_is_refused(bad):
    with pytest.raises(ig.UnknownDeviceError, match="write 'cpu'"):
        ig.device(bad)
