import threading

import numpy as np
import pytest

import isograd as ig


def leaf(values, dtype="float64"):
    return ig.tensor(values, dtype=dtype, requires_grad=True)


def test_gradients_accumulate_on_leaves(backend):
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    (3.0 * x).sum().backward()
    assert x.grad.tolist() == [5.0, 7.0]
    assert not x.grad.requires_grad


def test_a_second_pass_needs_retain_graph(backend):
    x = leaf([3.0])
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [12.0]
    with pytest.raises(ig.AutodiffError, match=r"'mul' were freed.*retain_graph=True"):
        y.backward()
    assert x.grad.tolist() == [12.0]


def test_a_cotangent_is_needed_and_must_fit():
    x = leaf([1.0, 2.0])
    y = x * x
    with pytest.raises(ig.AutodiffError, match=r"shape \(2,\).*\.sum\(\)"):
        y.backward()
    with pytest.raises(ig.ShapeError, match=r"shape \(3,\), the output \(2,\)"):
        y.backward(ig.ones(3, dtype="float64"))
    with pytest.raises(ig.DTypeError, match="float32, the output float64"):
        y.backward(ig.ones(2))
    assert x.grad is None
    y.backward([10.0, 1.0])
    assert x.grad.tolist() == [20.0, 4.0]


def test_what_has_no_history_has_no_backward():
    with pytest.raises(ig.AutodiffError, match="requires_grad=True"):
        ig.ones(()).backward()
    x = leaf(1.0)
    with ig.no_grad():
        y = x * 2
    with pytest.raises(ig.AutodiffError, match="no_grad"):
        y.backward()


@pytest.mark.parametrize("dtype", ["int64", "bool", "uint8"])
def test_integer_leaves_are_refused_by_dtype(dtype):
    with pytest.raises(ig.DTypeError, match=f"tensor: data of dtype {dtype} have no gradient"):
        ig.tensor([1], dtype=dtype, requires_grad=True)


def test_a_chain_of_50_000_operations_does_not_recurse():
    x = leaf(0.0)
    y = x
    for _ in range(50_000):
        y = y + 1.0
    y.backward()
    assert x.grad.item() == 1.0
    del y  # nor does freeing it


def test_one_tensor_used_1000_times_is_exact():
    x = leaf(2.0)
    total = x * 0.0
    for _ in range(1000):
        total = total + x
    total.backward()
    assert x.grad.item() == 1000.0


def test_broadcasting_is_undone(backend):
    a, b = leaf(np.ones((3, 1))), leaf(np.arange(4.0))
    (a * b).sum().backward()
    assert a.grad.tolist() == [[6.0]] * 3
    assert b.grad.tolist() == [3.0] * 4


def test_create_graph_gives_second_derivatives(backend):
    x = leaf(3.0)
    (x * x * x).backward(create_graph=True)
    first = x.grad
    assert first.item() == 27.0
    x.grad = None
    first.backward()
    assert x.grad.item() == 18.0


def test_rebinding_a_parameter_leaves_saved_values_alone():
    p = ig.nn.Parameter(ig.tensor([2.0, 3.0]))
    y = (p * p).sum()
    p.assign_(ig.tensor([100.0, 100.0]))
    y.backward()
    assert p.grad.tolist() == [4.0, 6.0]


def test_a_numpy_array_changed_later_does_not_matter():
    source = np.array([1.0, 2.0])
    x = ig.asarray(source)
    w = leaf([3.0, 4.0])
    y = (w * x).sum()
    source[:] = 99.0
    y.backward()
    assert w.grad.tolist() == [1.0, 2.0]


def test_no_grad_is_a_decorator_and_nests():
    @ig.no_grad()
    def double(x):
        return x * 2

    x = leaf(1.0)
    assert not double(x).requires_grad
    with ig.no_grad():
        with ig.enable_grad():
            assert (x * 2).requires_grad
        assert not ig.is_grad_enabled()
    assert ig.is_grad_enabled()


def test_modes_belong_to_a_thread():
    seen = []
    with ig.no_grad(), ig.use_backend("numpy"):
        thread = threading.Thread(target=lambda: seen.append(ig.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_threads_differentiate_side_by_side():
    results = {}

    def work(k):
        x = leaf([float(k)])
        for _ in range(200):
            y = ig.exp(x * 0.0) * x
            x.grad = None
            y.sum().backward()
        results[k] = x.grad.item()

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert results == dict.fromkeys(range(4), 1.0)


def test_nan_safe_keeps_zero_cotangents_zero(backend):
    def grad_of(safe):
        x = leaf([-1.0, 0.0, 4.0])
        with ig.nan_safe(safe):
            ig.where(x > 0, ig.sqrt(x), 0.0).sum().backward()
        return x.grad.tolist()

    assert grad_of(True) == [0.0, 0.0, 0.25]
    assert np.isnan(grad_of(False)[0])


def test_the_lint_names_operation_and_line():
    x = leaf([-1.0, 4.0])
    with ig.lint():
        y = ig.where(x > 0, ig.sqrt(x), 0.0).sum()  # the line it names
        with pytest.warns(ig.NumericsWarning) as caught:
            y.backward()
    text = str(caught[0].message)
    assert text.startswith("sqrt at ")
    assert "test_backward.py:" in text
    assert "nan_safe" in text


def test_setitem_rebinds_and_keeps_gradients(backend):
    x = leaf([1.0, 2.0, 3.0])
    with pytest.raises(ig.AutodiffError, match=r"x\.at\[i\]\.set"):
        x[0] = 5.0
    y = x * 2.0
    before = y
    y[1] = x[0] * 10.0
    assert before is y
    assert y.tolist() == [2.0, 10.0, 6.0]
    y.sum().backward()
    assert x.grad.tolist() == [12.0, 0.0, 2.0]
