import numpy as np
import pytest

import isograd as ig
from isograd import random


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_uniforms_are_philox_words(backend, dtype):
    got = random.uniform(1001, dtype=dtype, generator=random.Generator(7, stream=3)).numpy()
    words = np.random.Philox(key=[7, 3]).random_raw(1001)
    if dtype == "float64":
        expected = (words >> np.uint64(11)) * 2.0**-53
    else:
        half = words.view(np.uint32)[:1001]
        digits = {"float32": 24, "float16": 11}[dtype]
        expected = (half >> np.uint32(32 - digits)) * 2.0**-digits
    np.testing.assert_array_equal(got.astype(np.float64), expected)
    assert got.max() < 1.0


@pytest.mark.parametrize(
    "draw",
    [
        lambda g: random.uniform((3, 5), low=-2.0, high=3.0, generator=g),
        lambda g: random.normal((70, 300), generator=g),
        lambda g: random.normal(11, mean=1.0, std=2.0, dtype="float64", generator=g),
        lambda g: random.integers(-5, 100, (7, 9), generator=g),
        lambda g: random.integers(0, 2**64, 9, dtype="uint64", generator=g),
        lambda g: random.permutation(1000, generator=g),
        lambda g: random.bernoulli(0.3, (50,), generator=g),
        lambda g: random.choice(10, (4, 5), p=np.arange(10) / 45, generator=g),
        lambda g: random.choice(10, 4, replace=False, generator=g),
    ],
)
def test_every_backend_draws_the_same_bits(draw):
    results = []
    for name in ("numpy", "numba"):
        try:
            active = ig.use_backend(name)
        except ig.BackendUnavailableError:
            continue  # the presence test reports it
        with active:
            results.append(draw(random.Generator(11)).numpy())
    for other in results[1:]:
        np.testing.assert_array_equal(results[0], other)
    again = draw(random.Generator(11)).numpy()
    np.testing.assert_array_equal(results[0], again)


def test_elements_do_not_depend_on_the_shape():
    a = random.normal(1000, generator=random.Generator(5)).numpy()
    b = random.normal((10, 20), generator=random.Generator(5)).numpy()
    np.testing.assert_array_equal(a[:200], b.ravel())


def test_draws_take_streams_and_seeds_start_again():
    random.manual_seed(5)
    first, second = random.uniform(4), random.uniform(4)
    assert not (first == second).any()
    random.manual_seed(5)
    assert (first == random.uniform(4)).all()
    state = random.default_generator.state_dict()
    third = random.uniform(4)
    random.default_generator.load_state_dict(state)
    assert (third == random.uniform(4)).all()


def test_moments(backend):
    n = 200_000
    z = random.normal(n, dtype="float64").numpy()
    assert abs(z.mean()) < 4 / n**0.5
    assert abs(z.var() - 1) < 4 * (2 / n) ** 0.5
    assert abs((z**4).mean() - 3) < 0.1
    u = random.uniform(n).numpy()
    assert abs(u.mean() - 0.5) < 4 * (1 / 12 / n) ** 0.5
    counts = np.bincount(random.integers(0, 6, n).numpy(), minlength=6)
    chi2 = ((counts - n / 6) ** 2 / (n / 6)).sum()
    assert chi2 < 20.5  # the 99.9 % point for 5 degrees of freedom


def test_integers_cover_the_whole_range_of_a_dtype():
    low = random.integers(-(2**63), 2**63, 1000).numpy()
    assert (low < 0).any()
    assert (low > 0).any()
    tiny = random.integers(-128, 128, 5000, dtype="int8").numpy()
    assert tiny.min() == -128
    assert tiny.max() == 127
    words = np.random.Philox(key=[9, 0]).random_raw(100)
    expected = [(int(w) * 1000) >> 64 for w in words]
    assert random.integers(1000, shape=100, generator=random.Generator(9)).tolist() == expected


def test_permutations_and_choices_are_fair():
    assert sorted(random.permutation(50).tolist()) == list(range(50))
    rows = ig.reshape(ig.arange(6), (3, 2))
    assert sorted(random.permutation(rows).tolist()) == rows.tolist()
    firsts = [random.choice(3, 2, replace=False, p=[0.0, 0.5, 0.5]).tolist() for _ in range(40)]
    assert {tuple(sorted(pair)) for pair in firsts} == {(1, 2)}
    drawn = random.choice(3, 30_000, p=[0.2, 0.0, 0.8]).numpy()
    assert (drawn != 1).all()
    assert abs((drawn == 0).mean() - 0.2) < 0.02


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: random.uniform(2, low=1.0, high=0.0), "low 1.0 is above high 0.0"),
        (lambda: random.uniform(2, dtype="int32"), "use integers"),
        (lambda: random.normal(2, std=-1.0), "std is -1.0"),
        (lambda: random.integers(3, 3), "empty"),
        (lambda: random.integers(0, 300, dtype="uint8"), "does not fit into uint8"),
        (lambda: random.bernoulli(1.5), "outside"),
        (lambda: random.choice(3, 4, replace=False), "4 of 3 without replacement"),
        (lambda: random.choice(3, 1, p=[0.5, 0.5, 0.5]), "sum to 1"),
        (lambda: random.choice(3, 1, p=[1.0]), r"shape \(1,\) for 3 choices"),
        (lambda: random.choice(3, 2, replace=False, p=[1.0, 0.0, 0.0]), "draw fewer"),
        (lambda: random.normal(-1), "negative length"),
    ],
)
def test_bad_arguments_are_refused_before_a_stream_is_taken(call, words):
    before = random.default_generator.stream
    with pytest.raises(
        ValueError if "use integers" not in words and "fit" not in words else TypeError, match=words
    ):
        call()
    assert random.default_generator.stream == before
