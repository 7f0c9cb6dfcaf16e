"""One renderer per format, all from the same report object."""
