"""One file per tab: build() lays out and wires, the handlers take and return ordinary values."""
