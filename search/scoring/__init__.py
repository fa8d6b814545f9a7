"""What a plan costs on a target, without any training."""
