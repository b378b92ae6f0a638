"""What is trained: one module a network, and export of the weights that ship."""
