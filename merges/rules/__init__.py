"""One file a rule; each defines ``RULE``. A new file is found by itself."""
