"""From a prompt to takes: the decode loop, its lanes, searches, second opinions, and scores."""
