"""Figures, side by side with raw calls and other libraries in one run; nothing here is a test."""
