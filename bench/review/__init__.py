"""What a reviewer does with a study: verify, replay, compare, take it along."""
