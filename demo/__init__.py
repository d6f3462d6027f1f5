"""The app: a layer that only adapts the core. Nothing in it decides anything that the core could."""
