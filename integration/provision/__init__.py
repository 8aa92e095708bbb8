"""Gives a machine what the containers of the integration tests need, and takes it back."""
