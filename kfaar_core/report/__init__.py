"""What is printed and drawn of results: tables, plots, the paper's figures, our targets."""
