"""A convolutional network for Fashion-MNIST: over 91 % of the test images after a few epochs.

The images are those of Debian's package dataset-fashion-mnist; ``--folder`` names another place
that has the same four files.

    python examples/fashion_mnist.py --compiled
"""

from __future__ import annotations

import argparse

import isograd as ig
from isograd import nn, optim
from isograd.data import DataLoader, load_fashion_mnist, random_split
from isograd.train import accuracy, evaluate, fit


def network() -> nn.Sequential:
    """Return two convolutions and two linear layers, about 420,000 parameters."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1, bias=False),
        nn.BatchNorm2d(32),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1, bias=False),
        nn.BatchNorm2d(64),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(64 * 7 * 7, 128),
        nn.ReLU(),
        nn.Dropout(0.3),
        nn.Linear(128, 10),
    )


def main() -> None:
    """Train, and print the share of test images that are recognised."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--folder", default="/usr/share/datasets/fashion-mnist")
    options.add_argument("--backend", choices=["numpy", "numba"])
    options.add_argument("--compiled", action="store_true")
    options.add_argument("--epochs", type=int, default=4)
    options.add_argument("--samples", type=int, default=60_000, help="training images to use")
    options.add_argument("--checkpoints", help="a folder; started again, training goes on from it")
    options.add_argument("--log-dir", help="a folder for TensorBoard")
    chosen = options.parse_args()
    if chosen.backend:
        ig.set_backend(chosen.backend)

    ig.manual_seed(0)
    train, test = load_fashion_mnist(chosen.folder)
    part, _ = random_split(train, [chosen.samples, len(train) - chosen.samples])
    loader = DataLoader(part, 128, shuffle=True, seed=0, num_workers=1)
    model = network()
    print(nn.summary(model, train[:1][0]))
    optimizer = optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    steps = chosen.epochs * len(loader)
    # Momentum stays: a compiled step has it as a constant.
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=4e-3, total_steps=steps + 1, cycle_momentum=False
    )
    fit(
        model,
        loader,
        optimizer=optimizer,
        scheduler=schedule,
        step_scheduler=True,
        epochs=chosen.epochs,
        metrics={"accuracy": accuracy},
        compiled=chosen.compiled,
        checkpoints=chosen.checkpoints,
        log_dir=chosen.log_dir,
    )
    found = evaluate(model, test, metrics={"accuracy": accuracy})
    print(f"test accuracy: {found['accuracy']:.2%}")


if __name__ == "__main__":
    main()
