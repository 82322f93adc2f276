"""A genre learned from the room: texts chosen, a run started in a process of its own, watched, and tried beside the base."""
