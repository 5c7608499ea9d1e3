"""What PyTorch keeps in torch.nn.utils: other tellings of a weight, parameters as one vector, gradients kept small."""
from minilayer.nn.utils import parametrizations, parametrize, rnn
from minilayer.nn.utils.spectral_norm import remove_spectral_norm, spectral_norm
from minilayer.nn.utils.vectors import parameters_to_vector, vector_to_parameters
from minilayer.nn.utils.weight_norm import remove_weight_norm, weight_norm
from minilayer.optim.clip import clip_grad_norm_, clip_grad_value_, clip_grads_with_norm_, get_total_norm
