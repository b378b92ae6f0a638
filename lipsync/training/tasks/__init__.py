"""Training tasks, one module a network; their losses and discriminators; export of weights."""
