"""The market as the daemon knows it: asked in time, from whoever answers."""
