"""A recipe: which texts, which tokenizer, which network and how long, as TOML that is refused by key where it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from storyteller.disk import is_missing
from storyteller.errors import SettingsError
from storyteller.toml_file import read_toml

if TYPE_CHECKING:
    from collections.abc import Sequence

Genre: TypeAlias = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9-]{0,31}$")]
Kind: TypeAlias = Literal["archive", "rows", "folder", "library"]
Form: TypeAlias = Literal["book", "prose", "poem", "code"]
Positive: TypeAlias = Annotated[float, Meta(gt=0.0, le=1e9)]
Share: TypeAlias = Annotated[float, Meta(ge=0.0, le=1.0)]
Count: TypeAlias = Annotated[int, Meta(ge=1, le=1 << 40)]

MOST_TOKENS: Final = 1 << 16  # of a vocabulary: ids are kept in two bytes


class Source(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where a genre's texts come from.

    Attributes:
        genre: what they are reported as.
        kind: `archive`, a tar of .txt files; `rows`, JSON objects with `title` and `text`, one a line, packed by xz or
            not; `folder`, of .txt, .md and .py files; `library`, the standard library of the Python that runs this.
        form: how they are cleaned; see `cleaning`.
        path: under the data folder; `library` has none.
        inside: of an archive, only names that hold this.
        share: of the recipe's megabytes, at most.
        repeats: how often an epoch reads them.
    """

    genre: Genre
    kind: Kind
    form: Form
    path: str = ""
    inside: str = ""
    share: Share = 1.0
    repeats: Annotated[int, Meta(ge=1, le=100)] = 1


class Data(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All texts.

    Attributes:
        folder: of the sources, relative to the recipe.
        megabytes: of text to learn from, at most; the first ones of each source.
        held_out: one document in so many is measured on and never learned from.
    """

    folder: str = "."
    megabytes: Positive = 600.0
    held_out: Annotated[int, Meta(ge=2, le=10_000)] = 40


class TokenizerSize(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The tokenizer to train.

    Attributes:
        vocabulary: tokens, the end of a document among them.
        megabytes: of text it is trained on.
    """

    vocabulary: Annotated[int, Meta(ge=257, le=MOST_TOKENS)] = 12288
    megabytes: Positive = 60.0


class Shape(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GPT-2's n_embd, n_layer, n_head and n_positions."""

    width: Annotated[int, Meta(ge=8, le=1 << 14)]
    layers: Annotated[int, Meta(ge=1, le=256)]
    heads: Annotated[int, Meta(ge=1, le=256)]
    context: Annotated[int, Meta(ge=8, le=1 << 16)]


class Training(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the network learns.

    Attributes:
        tokens_per_step, micro_batch: tokens of an optimiser's step; sequences at once, which changes no result.
        minutes, tokens: how long, by the clock or by what is read; one of them.
        matrix_rate, weight_decay, momentum: Muon's, of the matrices in the blocks.
        rate: AdamW's, of everything else.
        warm_up: steps up to the full rates.
        decay: share of the run, at its end, in which they fall to nothing.
        clip: longest gradient.
        dtype: what products are computed in.
        compile: by torch.compile, where there is a compiler.
        measure_every, measured_tokens: steps between two measurements, and tokens of each genre they take.
    """

    tokens_per_step: Count
    micro_batch: Annotated[int, Meta(ge=1, le=1 << 16)] = 16
    minutes: Positive | None = None
    tokens: Count | None = None
    matrix_rate: Positive = 3e-3
    rate: Positive = 3e-3
    weight_decay: Share = 0.05
    momentum: Share = 0.95
    warm_up: Annotated[int, Meta(ge=0, le=1_000_000)] = 150
    decay: Share = 0.4
    clip: Positive = 1.0
    dtype: Literal["float32", "bfloat16"] = "bfloat16"
    compile: bool = True
    measure_every: Count = 250
    measured_tokens: Count = 65536
    seed: Annotated[int, Meta(ge=0, le=(1 << 62))] = 1


class Recipe(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it."""

    name: Genre
    sources: Annotated[list[Source], Meta(min_length=1, max_length=64)]
    model: Shape
    training: Training
    data: Data = Data()
    tokenizer: TokenizerSize = TokenizerSize()


def load_recipe(path: Path) -> Recipe:
    """The recipe in the file `path`.

    Raises:
        SettingsError: there is none, it is no TOML, or it holds a key or a value that cannot be; the key is named.
    """
    if is_missing(path):
        raise SettingsError(f"There is no recipe {path}.")
    try:
        recipe = msgspec.convert(read_toml(path), Recipe)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{path}: {error}.") from error
    wrong = _contradiction(recipe)
    if wrong:
        raise SettingsError(f"{path}: {wrong}")
    return recipe


def changed(
    recipe: Recipe,
    *,
    minutes: float | None = None,
    tokens: int | None = None,
    megabytes: float | None = None,
    seed: int | None = None,
) -> Recipe:
    """`recipe` with what was asked for on the command line in its place.

    Raises:
        SettingsError: a value that cannot be, or both lengths.
    """
    if minutes is not None and tokens is not None:
        raise SettingsError("--minutes and --tokens both say how long; choose one.")
    training, data = recipe.training, recipe.data
    if minutes is not None or tokens is not None:
        training = msgspec.structs.replace(training, minutes=minutes, tokens=tokens)
    if seed is not None:
        training = msgspec.structs.replace(training, seed=seed)
    if megabytes is not None:
        data = msgspec.structs.replace(data, megabytes=megabytes)
    whole = msgspec.structs.replace(recipe, training=training, data=data)
    try:  # replacing checks nothing
        return msgspec.convert(msgspec.to_builtins(whole), Recipe)
    except msgspec.ValidationError as error:
        raise SettingsError(f"An option cannot be used: {error}.") from error


def data_folder(recipe: Recipe, path: Path, given: Path | None) -> Path:
    """Where the sources of the recipe in the file `path` are: `given`, or as it says itself."""
    return given if given is not None else path.parent / Path(recipe.data.folder).expanduser()


def _contradiction(recipe: Recipe) -> str | None:
    """What in `recipe` does not go together, in a sentence that names the keys."""
    model, training = recipe.model, recipe.training
    if model.width % model.heads:
        return f"model.width {model.width} does not divide by model.heads {model.heads}."
    if training.tokens_per_step % model.context:
        return f"training.tokens_per_step {training.tokens_per_step} does not divide by model.context {model.context}."
    if (training.minutes is None) == (training.tokens is None):
        return "training needs minutes or tokens, and not both."
    return _wrong_source(recipe.sources)


def _wrong_source(sources: Sequence[Source]) -> str | None:
    names = [source.genre for source in sources]
    for name in names:
        if names.count(name) > 1:
            return f"sources: genre {name!r} stands there twice. Put its texts into one folder."
    for source in sources:
        if (source.kind == "library") == bool(source.path):
            needs = "has no path" if source.kind == "library" else "needs a path"
            return f"sources: {source.genre!r}, of kind {source.kind!r}, {needs}."
    return None
