"""From settings to a trained run: experts, rounds, judging, sweeps."""
