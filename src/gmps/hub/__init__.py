"""Meta-policies and runs to and from other places: a Hugging Face repository, a folder, a URL."""
