"""Container images: named by content, obtained, pushed, described."""
