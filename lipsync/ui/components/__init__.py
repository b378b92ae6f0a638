"""Components of the page: inputs, settings, outputs and what they are made of."""
