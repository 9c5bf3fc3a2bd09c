"""Figures, scores and films of a training, told to experiment trackers while it runs."""
