"""A document: load and save without changing a byte not edited, journal, recovery, provenance, takes."""
