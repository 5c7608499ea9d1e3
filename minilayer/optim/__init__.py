"""Optimisers, learning-rate schedules and gradient clipping. Read optimizer.py first, then sgd.py and adam.py."""
from minilayer.optim import lr_scheduler, swa_utils
from minilayer.optim.adafactor import Adafactor
from minilayer.optim.adam import Adam, AdamW
from minilayer.optim.adaptive import Adadelta, Adagrad, Adamax, NAdam, RAdam, RMSprop
from minilayer.optim.clip import clip_grad_norm_, clip_grad_value_
from minilayer.optim.lbfgs import LBFGS
from minilayer.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, StepLR
from minilayer.optim.muon import Muon
from minilayer.optim.optimizer import Optimizer
from minilayer.optim.rprop import Rprop
from minilayer.optim.sgd import SGD

__all__ = [name for name, value in list(vars().items()) if isinstance(value, type)]
__all__ += ["clip_grad_norm_", "clip_grad_value_", "lr_scheduler", "swa_utils"]
