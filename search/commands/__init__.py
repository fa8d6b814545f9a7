"""One file per command; each defines ``command``, which parses, delegates and prints."""
