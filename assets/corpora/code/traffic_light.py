"""A traffic light as a small state machine."""

from dataclasses import dataclass
from enum import Enum


class Light(Enum):
    """What the light shows."""

    RED = "stop"
    RED_AND_AMBER = "get ready"
    GREEN = "go"
    AMBER = "slow down"


NEXT = {
    Light.RED: Light.RED_AND_AMBER,
    Light.RED_AND_AMBER: Light.GREEN,
    Light.GREEN: Light.AMBER,
    Light.AMBER: Light.RED,
}

SECONDS = {Light.RED: 20, Light.RED_AND_AMBER: 2, Light.GREEN: 15, Light.AMBER: 3}


@dataclass
class TrafficLight:
    """A light that changes as time goes by.

    >>> light = TrafficLight()
    >>> light.wait(20)
    >>> light.showing.value
    'get ready'
    >>> light.wait(10)
    >>> light.showing.value, light.remaining
    ('go', 7)
    >>> light.wait(40)  # a full cycle
    >>> light.showing.value, light.remaining
    ('go', 7)
    """

    showing: Light = Light.RED
    remaining: int = SECONDS[Light.RED]

    def wait(self, seconds: int) -> None:
        """Let some time pass."""
        while seconds >= self.remaining:
            seconds -= self.remaining
            self.showing = NEXT[self.showing]
            self.remaining = SECONDS[self.showing]
        self.remaining -= seconds
