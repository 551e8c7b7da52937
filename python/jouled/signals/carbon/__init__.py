"""Providers of carbon intensity."""
