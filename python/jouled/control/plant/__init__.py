"""The plant's feed at work: asked, judged, kept."""
