"""Where events go: one module for each destination."""
