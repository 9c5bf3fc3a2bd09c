"""Meta-learning methods: one file each."""
