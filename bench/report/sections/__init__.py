"""The report's sections: each builds its part of the page from a study."""
