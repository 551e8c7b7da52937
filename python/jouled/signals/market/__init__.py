"""Providers of prices."""
