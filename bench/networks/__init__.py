"""The one backbone, its convolutions and its latents."""
