"""The loop: what it learns, stops at, saves, resumes and reports."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import isograd as ig
from isograd import nn, optim
from isograd.data import DataLoader, TensorDataset, load_digits
from isograd.nn import functional as F
from isograd.testing import assert_resume_exact
from isograd.train import Callback, EarlyStopping, Loop, TensorBoard, accuracy, evaluate, fit


def line_data(count: int = 40) -> TensorDataset:
    x = np.random.default_rng(0).normal(size=(count, 3)).astype(np.float32)
    return TensorDataset(x, x.sum(axis=1, keepdims=True))


def model_of(seed: int = 0) -> nn.Sequential:
    ig.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.1), nn.Linear(8, 1))


@pytest.mark.parametrize("compiled", [False, True])
def test_it_learns_the_digits(compiled: bool, backend: str) -> None:
    train, test = load_digits(flatten=True)
    model = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))
    history = fit(
        model,
        DataLoader(train, 64, shuffle=True, seed=1),
        optimizer=optim.Adam(model.parameters(), lr=0.01),
        epochs=4,
        validation=test,
        metrics={"accuracy": accuracy},
        clip_norm=5.0,
        compiled=compiled,
    )
    assert list(history[0]) == ["loss", "accuracy", "val_loss", "val_accuracy"]
    assert history[-1]["val_accuracy"] > 0.93
    found = evaluate(model, test, metrics={"accuracy": accuracy})
    assert found["accuracy"] == pytest.approx(history[-1]["val_accuracy"])


def test_means_weigh_batches_by_their_size() -> None:
    data = TensorDataset(np.arange(5.0).reshape(5, 1), np.zeros((5, 1)))
    found = evaluate(nn.Identity(), DataLoader(data, 2), loss=F.l1_loss)
    assert found == {"loss": 2.0}
    model = nn.Sequential(nn.Identity(), nn.Dropout(0.5).eval())
    evaluate(model, data, loss=F.l1_loss)
    assert [m.training for m in model.modules()] == [True, True, False]


@pytest.mark.parametrize("compiled", [False, True])
def test_accumulated_batches_are_one_large_batch(compiled: bool, backend: str) -> None:
    """Targets of -100 do not count, so the batches have unequal numbers of tokens."""
    rng = np.random.default_rng(0)
    x = ig.tensor(rng.normal(size=(12, 3)))
    y = ig.tensor(np.where(rng.random(12) < 0.4, -100, rng.integers(0, 4, 12)))
    weights: list[Any] = []
    for size, accumulate in ((12, 1), (4, 3), (2, 6)):
        ig.manual_seed(0)
        model = nn.Linear(3, 4).to("float64")
        history = fit(
            model,
            DataLoader(TensorDataset(x, y), size),
            optimizer=optim.SGD(model.parameters(), lr=0.5),
            epochs=2,
            clip_norm=1.0,
            accumulate=accumulate,
            weight=lambda target: (target != -100).sum(),
            compiled=compiled,
        )
        weights.append((model.weight.numpy(), history[-1]["loss"]))
    for found, loss in weights[1:]:
        np.testing.assert_allclose(found, weights[0][0], rtol=1e-12)
        assert loss == pytest.approx(weights[0][1], rel=1e-12)
    with pytest.raises(ValueError, match="fit: accumulate=0"):
        fit(model, DataLoader(TensorDataset(x, y), 4), accumulate=0)


def test_schedulers_and_callbacks() -> None:
    seen: list[Any] = []

    class Note(Callback):
        def on_begin(self, loop: Loop) -> None:
            seen.append("begin")

        def on_step_end(self, loop: Loop) -> None:
            seen.append((loop.step, loop.rates()))

        def on_epoch_end(self, loop: Loop) -> None:
            seen.append(("epoch", loop.epoch))
            loop.stop = loop.epoch == 2

        def on_end(self, loop: Loop) -> None:
            seen.append("end")

    model = nn.Linear(3, 1)
    sgd = optim.SGD(model.parameters(), lr=1.0)
    scheduler = optim.lr_scheduler.StepLR(sgd, 1, gamma=0.5)
    loader = DataLoader(line_data(4), 2, seed=0)
    options: dict[str, Any] = {"loss": F.mse_loss, "optimizer": sgd, "epochs": 9}
    fit(model, loader, scheduler=scheduler, callbacks=[Note()], **options)
    assert seen == [
        "begin",
        (1, [1.0]),
        (2, [1.0]),
        ("epoch", 1),
        (3, [0.5]),
        (4, [0.5]),
        ("epoch", 2),
        "end",
    ]
    plateau = optim.lr_scheduler.ReduceLROnPlateau(sgd, patience=0, factor=0.1)
    sgd.param_groups[0]["lr"] = 0.0
    fit(model, loader, scheduler=plateau, **{**options, "epochs": 2})
    seen.clear()
    sgd = optim.SGD(model.parameters(), lr=0.5)
    each_step = optim.lr_scheduler.ExponentialLR(sgd, 0.5)
    options = {**options, "optimizer": sgd, "scheduler": each_step, "step_scheduler": True}
    fit(model, loader, callbacks=[Note()], **options)
    assert seen[1:3] == [(1, [0.25]), (2, [0.125])]


def test_early_stopping_goes_back_to_the_best() -> None:
    model = nn.Linear(1, 1, bias=False)
    model.weight.assign_(ig.zeros((1, 1)))
    sgd = optim.SGD(model.parameters(), lr=0.4)
    data = TensorDataset(np.ones((1, 1), np.float32), np.ones((1, 1), np.float32))
    # Validation wants 0.5, so it gets worse once training has passed that.
    judged = TensorDataset(np.ones((1, 1), np.float32), np.full((1, 1), 0.9, np.float32))
    history = fit(
        model,
        [(data.tensors[0], data.tensors[1])],
        loss=F.mse_loss,
        optimizer=sgd,
        epochs=50,
        validation=judged,
        patience=2,
    )
    losses = [row["val_loss"] for row in history]
    assert len(history) == losses.index(min(losses)) + 1 + 3
    assert evaluate(model, judged, loss=F.mse_loss)["loss"] == min(losses)
    with pytest.raises(ValueError, match="EarlyStopping: the history has no 'f1'; monitor one of"):
        fit(model, data, loss=F.mse_loss, callbacks=[EarlyStopping(monitor="f1")])


def test_early_stopping_knows_which_way_is_better() -> None:
    stopper, loop = (
        EarlyStopping(0, monitor="a", mode="max"),
        Loop(nn.Identity(), None, None, (), 9),
    )  # pyright: ignore[reportArgumentType]
    for value in (0.1, 0.2, 0.15):
        loop.history.append({"a": value})
        stopper.on_epoch_end(loop)
    assert (stopper.best, loop.stop) == (-0.2, True)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("when", ["forward", "backward"])
def test_nan_is_traced_to_its_line(when: str, compiled: bool) -> None:
    class Fragile(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(1, 1, bias=False)
            self.layer.weight.assign_(ig.ones((1, 1)))

        def forward(self, x: ig.Tensor) -> ig.Tensor:
            y = self.layer(x)
            if when == "forward":
                return ig.log(y)  # the line of log
            return ig.where(y > 0, ig.sqrt(y), y)  # the line of sqrt

    bad = -1.0 if when == "forward" else 0.0
    batches = [(ig.full((1, 1), value), ig.zeros((1, 1))) for value in (1.0, bad, 1.0, 1.0)]
    model = Fragile()
    sgd = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(ig.NonFiniteError) as error:
        fit(model, batches, loss=F.mse_loss, optimizer=sgd, compiled=compiled)
    text = str(error.value)
    assert f"made by {'log, forward' if when == 'forward' else 'sqrt, backward'}" in text
    number = next(
        i
        for i, line in enumerate(Path(__file__).read_text().splitlines(), 1)
        if line.endswith(f"# the line of {'log' if when == 'forward' else 'sqrt'}")
    )
    assert f"test_fit.py:{number}" in text
    assert math.isfinite(model.layer.weight.item())
    assert model.layer.weight.grad is None


def test_nan_in_the_data_is_named() -> None:
    batches = [(ig.full((1, 1), value), ig.zeros((1, 1))) for value in (1.0, math.nan)]
    with pytest.raises(ig.NonFiniteError, match=r"(?s)loss of step 1 is nan.*argument 0 holds"):
        fit(nn.Linear(1, 1), batches, loss=F.mse_loss)


def test_without_the_watch_nan_goes_on() -> None:
    model = nn.Linear(1, 1)
    batches = [(ig.full((1, 1), math.nan), ig.zeros((1, 1)))]
    assert math.isnan(fit(model, batches, loss=F.mse_loss, watch_nan=False)[0]["loss"])


def test_a_scaler() -> None:
    model = model_of()
    scaler = ig.amp.GradScaler(init_scale=8.0)
    history = fit(
        model,
        line_data(),
        loss=F.mse_loss,
        optimizer=optim.SGD(model.parameters(), lr=0.05),
        scaler=scaler,
        clip_norm=1.0,
        epochs=3,
    )
    assert history[-1]["loss"] < history[0]["loss"]


def train_here(folder: Path, compiled: bool) -> Any:
    """A training for `assert_resume_exact`, with everything that has state."""
    ig.manual_seed(11)
    model = model_of()
    optimizer = optim.Adam(model.parameters(), lr=0.01)
    history = fit(
        model,
        DataLoader(line_data(), 4, shuffle=True, num_workers=1),
        loss=F.mse_loss,
        optimizer=optimizer,
        scheduler=optim.lr_scheduler.CosineAnnealingLR(optimizer, 40),
        step_scheduler=True,
        epochs=4,
        validation=line_data(10),
        patience=10,
        compiled=compiled,
        checkpoints=folder,
        keep=2,
        every_steps=3,
    )
    return (
        model.state_dict(),
        optimizer.state_dict(),
        history,
        ig.random.default_generator.state_dict(),
    )


def train_without_loader_state(folder: Path) -> Any:
    from isograd.io import Checkpoints, TrainState

    model = model_of()
    optimizer = optim.SGD(model.parameters(), lr=0.01)
    loader = DataLoader(line_data(), 4, shuffle=True, seed=1)
    checkpoints, state = Checkpoints(folder), TrainState(model=model, optimizer=optimizer)
    step = checkpoints.load(state) or 0
    while step < 20:
        for x, y in loader:
            F.mse_loss(model(x), y).backward()
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            checkpoints.save(state, step=step)
    return model.state_dict()


def train_anew(folder: Path) -> Any:
    from isograd.io import Checkpoints

    model = model_of()
    for i, _ in enumerate(DataLoader(line_data(), 4, shuffle=True, seed=1)):
        Checkpoints(folder).save(model, step=i)
    return 0


def train_without_saving(folder: Path) -> Any:
    return 0


def train_that_fails(folder: Path) -> Any:
    raise ZeroDivisionError("on purpose")


@pytest.mark.parametrize("compiled", [False, True])
def test_fit_resumes_exactly(compiled: bool, tmp_path: Path) -> None:
    report = assert_resume_exact(train_here, compiled, folder=tmp_path)
    assert len(report.kills) == 3
    assert report.batches[0] == 44  # 40, and 4 of validation
    assert report.batches[-1] < 44


def test_what_resumes_wrongly_is_found() -> None:
    with pytest.raises(AssertionError, match=r"result\['0\.weight'\] is tensor.* after kills at"):
        assert_resume_exact(train_without_loader_state)
    with pytest.raises(AssertionError, match="took 10 batches again, all of them, so it began"):
        assert_resume_exact(train_anew)
    with pytest.raises(AssertionError, match="no file was moved to its name in the folder"):
        assert_resume_exact(train_without_saving)
    with pytest.raises(RuntimeError, match=r"(?s)ended with 1; .*ZeroDivisionError: on purpose"):
        assert_resume_exact(train_that_fails)
    with pytest.raises(TypeError, match="<lambda> is made inside a function"):
        assert_resume_exact(lambda folder: 0)


def test_checkpoints_within_an_epoch_need_a_loader(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of a list, which has no state_dict; use a DataLoader"):
        fit(nn.Linear(1, 1), [], checkpoints=tmp_path, every_steps=1)


def test_event_files(tmp_path: Path) -> None:
    pytest.importorskip("tensorboardX", reason="writes event files through tensorboardX")
    model = nn.Linear(3, 1)
    fit(
        model,
        line_data(),
        loss=F.mse_loss,
        epochs=2,
        callbacks=[TensorBoard(tmp_path, every_steps=1)],
    )
    from tensorboardX.event_file_writer import EventsWriter  # noqa: F401 - it is the real one
    from tensorboardX.proto.event_pb2 import Event

    (path,) = tmp_path.iterdir()
    data, events = path.read_bytes(), []
    while data:
        size = int.from_bytes(data[:8], "little")
        events.append(Event.FromString(data[12 : 12 + size]))
        data = data[16 + size :]
    values = [(e.step, v.tag, v.simple_value) for e in events for v in e.summary.value]
    assert {tag for _, tag, _ in values} == {"step/loss", "rate/0", "epoch/loss"}
    assert [step for step, tag, _ in values if tag == "step/loss"] == [1, 2, 3, 4]
    assert all(math.isfinite(value) for *_, value in values)


def test_the_bar(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("rich", reason="the bar is rich's")
    fit(nn.Linear(3, 1), line_data(), loss=F.mse_loss, epochs=2, progress=True)
    assert "epoch 2: loss" in capsys.readouterr().err
