"""The training loop: trainer, checkpoints, logs, mixed precision, distributed training."""
