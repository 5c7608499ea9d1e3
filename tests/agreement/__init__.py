"""Agreement with PyTorch: rows (one module a family) and what runs them; `./dev agreement` is the command."""
