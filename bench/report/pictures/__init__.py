"""The report's sample images: grids, time-lapses, walks, neighbours."""
