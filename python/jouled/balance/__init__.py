"""What power is allowed, as pure rules: no clock, no files, no event loop. Time, prices and limits come in."""
