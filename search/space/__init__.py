"""Which plans there are, and what is known of them beforehand."""
