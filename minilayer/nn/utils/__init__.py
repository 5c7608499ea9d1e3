"""What PyTorch keeps in torch.nn.utils."""
from minilayer.optim.clip import clip_grad_norm_, clip_grad_value_
