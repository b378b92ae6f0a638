"""Training loop: trainer, checkpoints, logs, mixed precision, distributed runs."""
