"""A study while it goes: how far its runs are, and the page that shows them. No torch."""
