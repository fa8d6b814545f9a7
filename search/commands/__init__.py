"""One file a command of ``cli.py``; each defines ``command``, which only parses, delegates and prints."""
