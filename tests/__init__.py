"""Tests. A package, because torch-fidelity installs one of the same name, which would come before a folder."""
