"""Is there something faster than the CPU? (torch.accelerator)"""
from minilayer import cuda
from minilayer.cuda import device_count, is_available
from minilayer.device import Device

__all__ = ["current_accelerator", "device_count", "is_available"]


def current_accelerator(check_available=False):
    """The device "cuda" where there is a GPU, else None."""
    return Device("cuda") if cuda.is_available() else None
