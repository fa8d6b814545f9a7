"""One file a rule; each defines ``RULE``, a ``merges.rule.MergeRule``. A new file is found by itself.

Those of another folder are found too where it is appended to this package's ``__path__`` before the first
network is read.
"""
