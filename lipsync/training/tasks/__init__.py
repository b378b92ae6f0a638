"""Training tasks, one module a network, with losses and export of weights."""
