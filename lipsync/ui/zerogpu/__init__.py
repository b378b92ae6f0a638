"""Hugging Face ZeroGPU: the models run in a GPU worker, the pipeline stays local."""
