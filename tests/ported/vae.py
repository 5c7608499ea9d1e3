"""A variational autoencoder: the noise is handed in, the loss is a reconstruction and a divergence."""
import minilayer as torch
import minilayer.functional as F
from minilayer import nn


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(12, 16), nn.LeakyReLU(0.1), nn.Linear(16, 16), nn.ELU())
        self.mean, self.log_variance = nn.Linear(16, 3), nn.Linear(16, 3)
        self.decoder = nn.Sequential(nn.Linear(3, 16), nn.SiLU(), nn.Linear(16, 12))

    def forward(self, x, noise):
        hidden = self.encoder(x)
        mean, log_variance = self.mean(hidden), self.log_variance(hidden)
        z = mean + noise * torch.exp(0.5 * log_variance)
        return self.decoder(z), mean, log_variance


def data(rng):
    return {"x": (rng.random((8, 12)) < 0.4).astype("float64"), "noise": rng.standard_normal((8, 3))}


def loss(model, x, noise):
    logits, mean, log_variance = model(x, noise)
    reconstruction = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    divergence = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
    return (reconstruction + divergence) / x.shape[0]
