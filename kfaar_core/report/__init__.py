"""Reports of results: tables, plots, the paper's figures, and targets."""
