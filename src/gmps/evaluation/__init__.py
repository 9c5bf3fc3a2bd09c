"""One evaluator for all methods, its controls and its statistics."""
