"""bench.toml: named studies read into frozen, strict models, and mistakes with their lines."""
