"""Remember changes to a text so that they can be undone and done again."""

from dataclasses import dataclass, field


@dataclass
class Draft:
    """A text with a history.

    >>> draft = Draft("cat")
    >>> draft.change("cart")
    >>> draft.change("chart")
    >>> draft.undo(), draft.undo(), draft.undo()
    (True, True, False)
    >>> draft.text
    'cat'
    >>> draft.redo(), draft.text
    (True, 'cart')
    >>> draft.change("carts")  # whatever was undone is forgotten
    >>> draft.redo(), draft.text
    (False, 'carts')
    """

    text: str = ""
    limit: int = 100
    _past: list[str] = field(default_factory=list, repr=False)
    _future: list[str] = field(default_factory=list, repr=False)

    def change(self, text: str) -> None:
        """Replace the text by a new version."""
        if text == self.text:
            return
        self._past.append(self.text)
        self._future.clear()
        self.text = text
        # The oldest versions give way once there are too many.
        del self._past[: -self.limit]

    def undo(self) -> bool:
        """Go back one change; say whether there was one."""
        if not self._past:
            return False
        self._future.append(self.text)
        self.text = self._past.pop()
        return True

    def redo(self) -> bool:
        """Do again what was undone last; say whether there was anything."""
        if not self._future:
            return False
        self._past.append(self.text)
        self.text = self._future.pop()
        return True
