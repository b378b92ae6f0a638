"""Parts of the page: inputs, settings, outputs, link panel, range table, score card."""
