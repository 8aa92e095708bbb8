"""What native failures mean, as tables: the only place that knows the names of native errors."""
