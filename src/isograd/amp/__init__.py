"""Mixed precision: products in 16 bits, weights and sums in 32, and the scaling that float16 needs.

>>> import isograd as ig
>>> from isograd import amp
>>> model = ig.nn.Linear(3, 1)
>>> sgd = ig.optim.SGD(model.parameters(), lr=0.1)
>>> scaler = amp.GradScaler()
>>> with amp.autocast("cpu", dtype=ig.float16):
...     loss = ig.nn.functional.mse_loss(model(ig.ones((4, 3))), ig.zeros((4, 1)))
>>> scaler.scale(loss).backward()
>>> scaler.step(sgd)
>>> scaler.update()
>>> loss.dtype, model.weight.grad.dtype
(dtype('float32'), dtype('float32'))
"""

from isograd.amp.autocast import autocast
from isograd.amp.scaler import GradScaler

__all__ = ["GradScaler", "autocast"]
