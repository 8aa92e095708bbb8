"""Tools for those who work on tieline; nothing of it is installed."""
