"""What can be merged in a network, and how the network is rebuilt (torch only)."""
