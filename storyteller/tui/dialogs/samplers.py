"""Every sampler setting with its value and one line about it; Enter changes one."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final

import msgspec
from textual import on
from textual.binding import Binding
from textual.content import Content
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from storyteller.text import display_line
from storyteller.tui.dialogs.dialog import Dialog, words
from storyteller.tui.dialogs.entry import Entry
from storyteller.tui.manner import Manner, changed, shown_value

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.binding import BindingType
    from textual.widget import Widget

EXPLAINED: Final = {
    "method": "sample draws by chance; greedy takes the likeliest; beam and contrastive search",
    "temperature": "below 1 the likely is likelier; above 1 the unlikely gets a chance",
    "dynamic_temperature": "temperature moves this far up and down with the model's doubt; 0 is off",
    "dynamic_exponent": "how sharply it moves",
    "top_k": "only the so many likeliest tokens; 0 is all",
    "top_p": "only the likeliest tokens that together have this share; 1 is all",
    "min_p": "only tokens with at least this share of the likeliest one's chance; 0 is off",
    "typical_p": "only tokens about as surprising as one would expect here; 1 is off",
    "epsilon_cutoff": "drop tokens below this chance; 0 is off",
    "eta_cutoff": "the same, but lower where the model is in doubt; 0 is off",
    "tail_free": "cut the long tail where it flattens out; 1 is off",
    "top_a": "drop tokens below this times the likeliest one's chance squared; 0 is off",
    "mirostat_tau": "aim at this much surprise all along; 0 is off",
    "mirostat_eta": "how fast it corrects its aim",
    "xtc_probability": "how often the most obvious choices are left out; 0 is never",
    "xtc_threshold": "what counts as an obvious choice",
    "repetition_penalty": "above 1 a word that was used is less likely again",
    "frequency_penalty": "the more often a word was used, the less likely",
    "presence_penalty": "a word that was used at all is less likely",
    "penalty_range": "the penalties look back so many tokens; 0 is all of them",
    "penalty_exempt": "texts that are never penalised",
    "no_repeat_ngram": "never the same so many tokens in a row again; 0 is off",
    "dry_multiplier": "hold back the token that would continue a repeated passage; 0 is off",
    "dry_base": "how the holding back grows with the passage",
    "dry_allowed_length": "repeated passages up to so many tokens are let be",
    "dry_range": "how far back it looks; 0 is everything",
    "dry_breakers": "texts at which a repeated passage ends",
    "loop_guard": "notice a loop, go back to its beginning and write on differently",
    "logit_bias": 'make single tokens likelier or unlikelier: {"198": -1.5}',
    "banned_tokens": "numbers of tokens that never come",
    "banned_phrases": "phrases that never come; the take goes back and tries again",
    "rewind_budget": "so many tokens a take may throw away for that",
    "guidance_scale": "above 1: away from what the negative prompt would bring",
    "negative_prompt": "a text the continuation should not resemble",
    "adapter_contrast": "further in the adapter's direction, away from the plain model; 0 is off",
    "beams": "how many candidates beam search keeps",
    "length_penalty": "above 1 beam search prefers longer, below 1 shorter",
    "early_stopping": "beam search ends as soon as it has enough finished candidates",
    "contrastive_alpha": "contrastive search: how much difference counts against likelihood",
    "contrastive_k": "contrastive search: how many candidates it compares",
}


class SamplersDialog(Dialog[Manner]):
    """Returns the manner with what was changed here."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "done", "Done", show=False, id="samplers.done"),
    ]

    def __init__(self, manner: Manner) -> None:
        super().__init__("Every setting of the sampler", wide=True)
        self._manner = manner

    def content(self) -> Iterable[Widget]:
        """The settings and the keys."""
        yield OptionList(*self._options(), markup=False, compact=True)
        yield words("Enter  change   Esc  done", "foot")

    def on_mount(self) -> None:
        """The keyboard goes to the list."""
        self.query_one(OptionList).focus()

    def action_done(self) -> None:
        """Back, with the changes."""
        self.dismiss(self._manner)

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        name = event.option.id
        assert name is not None
        entry = Entry(
            name.replace("_", " "),
            text=EXPLAINED[name],
            value=shown_value(getattr(self._manner.settings, name)),
            check=lambda written: changed(self._manner, name, written),
        )
        self.app.push_screen(entry, lambda written: self._change(name, written))

    def _change(self, name: str, written: str | None) -> None:
        if written is None:
            return
        self._manner = changed(self._manner, name, written)
        options = self.query_one(OptionList)
        options.replace_option_prompt(name, self._label(name, getattr(self._manner.settings, name)))

    def _options(self) -> list[Option]:
        settings = msgspec.structs.asdict(self._manner.settings)
        return [Option(self._label(name, value), id=name) for name, value in settings.items()]

    def _label(self, name: str, value: object) -> Content:
        own = value != getattr(self._manner.preset_settings, name)
        shown = display_line(shown_value(value))
        shown = shown[:13] + "…" if len(shown) > 14 else shown
        return Content.assemble(
            name.replace("_", " ").ljust(22),
            (shown.ljust(16), "$room-accent bold" if own else ""),
            (EXPLAINED[name], "$room-muted"),
        )
