"""The editor: the page a writer writes on."""
