"""What lies on disk: run folders, checkpoints, settings, policies. Nothing is ever unpickled."""
