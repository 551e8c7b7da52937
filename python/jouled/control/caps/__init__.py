"""Caps: who asks for which, what is written for it, and how it is given back."""
