"""The report's figures, with their data and captions."""
