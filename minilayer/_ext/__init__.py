"""Kernels: arrays in, arrays out. README.md states their contract; nothing here knows of tensors, tape or layers."""
