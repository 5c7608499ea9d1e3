"""A U-Net: down by max pooling, up by transposed convolution and by interpolation, skips by concatenation."""
import minilayer as torch
import minilayer.functional as F
from minilayer import nn


def double(inputs, outputs):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.GroupNorm(2, outputs), nn.ReLU(),
                         nn.Conv2d(outputs, outputs, 3, padding=1, padding_mode="reflect"), nn.GroupNorm(2, outputs), nn.ReLU())


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.down1, self.down2, self.bottom = double(1, 4), double(4, 8), double(8, 8)
        self.pool = nn.MaxPool2d(2)
        self.up2 = nn.ConvTranspose2d(8, 8, 2, stride=2)
        self.join2, self.join1 = double(16, 8), double(12, 4)
        self.head = nn.Conv2d(4, 1, 1)

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(self.pool(a))
        c = self.bottom(self.pool(b))
        b = self.join2(torch.cat([self.up2(c), b], dim=1))
        up = F.interpolate(b, scale_factor=2, mode="bilinear", align_corners=False)
        return self.head(self.join1(torch.cat([up, a], dim=1)))


def data(rng):
    x = rng.standard_normal((3, 1, 8, 8))
    return {"x": x, "target": (x > 0.3).astype("float64")}


def loss(model, x, target):
    return F.binary_cross_entropy_with_logits(model(x), target)
