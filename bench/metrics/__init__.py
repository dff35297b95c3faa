"""What a metric is called and means, and what a study measures. Never imports torch."""
