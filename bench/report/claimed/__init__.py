"""The page of claims: what runs decide of each, with its numbers."""
