"""Data sets of photos, their split, a cache, and the teacher's labels, for training and evaluation."""
