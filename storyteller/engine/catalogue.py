"""Which models and adapters are on this machine, and which model opens. Looks at folders only: no network, no torch."""

from __future__ import annotations

import json
import os
import re
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from storyteller.config import NAME_PATTERN
from storyteller.disk import is_folder, is_there
from storyteller.engine.model_folder import (
    check_folder,
    has_pickles,
    model_hash,
    read_config,
    weight_files,
)
from storyteller.errors import ModelError
from storyteller.paths import adapters_dir, bundled_adapters_dir, models_dir, starter_model_dir

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "Found",
    "current_version",
    "find_adapters",
    "find_model",
    "hub_cache",
    "list_models",
    "locate",
    "model_hash",
    "shelf_stamp",
]

STARTER: Final = "starter"
PREFERRED: Final = "gpt2-large"
HOW_TO_GET: Final = f"`storyteller models get {PREFERRED}` fetches it"
# What OpenAI's models are called on the hub today, and were before organisations.
_OPENAI: Final = ("gpt2", "gpt2-medium", "gpt2-large", "gpt2-xl")
_HUB_ALIASES: Final = {name: f"openai-community/{name}" for name in _OPENAI} | {
    "distilgpt2": "distilbert/distilgpt2"
}
_SHORT: Final = {full: name for name, full in _HUB_ALIASES.items()}
_REPO: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?\Z")
_ADAPTER_NAME: Final = re.compile(NAME_PATTERN)
_VERSION: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_CARD_LIMIT: Final = 1_000_000


class Found(msgspec.Struct, frozen=True):
    """A model folder, what to call it, and a sentence on why it is this one."""

    path: Path
    name: str
    reason: str


def find_model(wanted: str | None) -> Found:
    """The model to open: the one `wanted` (a folder or a name), else GPT-2 large if it is here, else the starter.

    Raises:
        ModelError: what was wanted is not here, is not whole, or is no GPT-2.
    """
    if wanted:
        found = locate(wanted)
        check_folder(found.path)
        return found
    damage = ""
    for found in _called(PREFERRED):
        try:
            check_folder(found.path)
        except ModelError as error:
            damage = error.message
            continue
        if weight_files(found.path):
            return Found(found.path, found.name, f"{PREFERRED} is {found.reason}.")
    starter = starter_model_dir()
    check_folder(starter)
    missing = f"{PREFERRED} cannot be opened ({damage})" if damage else f"{PREFERRED} is not on this machine"
    return Found(starter, STARTER, f"{missing}, so the starter model is open; {HOW_TO_GET}.")


def locate(wanted: str) -> Found:
    """The folder `wanted` means, whole or not: a folder, else a model's name.

    Raises:
        ModelError: there is none.
    """
    folder = Path(wanted)
    if wanted.startswith("~/"):
        folder = folder.expanduser()
    if _is_there(folder / "config.json"):
        return Found(folder.absolute(), folder.absolute().name, f"{wanted} was asked for.")
    if is_repo_name(wanted):
        for found in _called(wanted):
            return Found(found.path, found.name, f"{wanted} was asked for and is {found.reason}.")
    if _is_there(folder):
        raise ModelError(f"{folder} is not a model folder: it has no config.json.")
    raise ModelError(f"There is no model {wanted!r} on this machine.{_advice(wanted)}")


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:
        raise ModelError(
            f"{path} cannot be looked at ({error.strerror or error}). Allow it, or name another model."
        ) from error


def list_models() -> list[Found]:
    """Every GPT-2 on this machine that could be opened by name: the starter's, the models directory's, the hub cache's."""
    models = [
        Found(starter_model_dir(), STARTER, "shipped with storyteller"),
        *_own_models(),
        *_cached_models(),
    ]
    return [found for found in models if _is_gpt2(found.path)]


def find_adapters(model: Path) -> dict[str, Path]:
    """The adapters for the model in folder `model`, by name: shipped ones trained on it, then the writer's own.

    Shipped: `adapters/NAME/` whose card.json has this model's hash as `base_hash`. The writer's own: the version
    that `NAME/current` names in the adapters directory, or `NAME/` itself where an adapter was put there by hand;
    one without a card is left to the loader's checks. Where its card names another base, the newest version that
    was trained on this model stands in for it: one name can have a version for the starter and one for GPT-2 large.
    """
    base = model_hash(model)
    found = {}
    for folder in _subfolders(bundled_adapters_dir()):
        if _is_adapter(folder) and _base_of(folder) == base:
            found[folder.name] = folder
    for folder in _subfolders(adapters_dir()):
        current = current_version(folder)
        if _is_adapter(current) and _base_of(current) in {base, None}:
            found[folder.name] = current
        elif current != folder and (other := _newest_for(base, folder)) is not None:
            found[folder.name] = other
    return {name: found[name] for name in sorted(found) if _ADAPTER_NAME.match(name)}


def shelf_stamp() -> tuple[tuple[str, int], ...]:
    """What changes whenever an adapter of the writer's is published, removed, or another version put in use.

    Names and times of the adapters' folders: a twentieth of a millisecond, so that every request can look.
    """
    try:
        with os.scandir(adapters_dir()) as entries:
            return tuple(sorted((entry.name, entry.stat().st_mtime_ns) for entry in entries))
    except OSError:
        return ()


def current_version(folder: Path) -> Path:
    """The version of an adapter that `folder/current` names (one line, a folder's name), else the folder itself."""
    try:
        with (folder / "current").open("rb") as stream:
            version = stream.read(100).decode("ascii").strip()
    except (OSError, ValueError):
        return folder
    return folder / version if _VERSION.match(version) else folder


def hub_cache() -> Path:
    """Where the Hugging Face hub's libraries keep what they fetched, by the same variables they obey."""
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if os.environ.get(variable):
            return Path(os.environ[variable]).expanduser()
    home = os.environ.get("HF_HOME")
    if home:
        return Path(home).expanduser() / "hub"
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        return Path(cache).expanduser() / "huggingface" / "hub"
    except RuntimeError:  # no home directory at all
        return Path(cache) / "huggingface" / "hub"


def hub_name(name: str) -> str:
    """The hub's full name of a model: `gpt2-large` is openai-community's."""
    return _HUB_ALIASES.get(name, name)


def is_repo_name(name: str) -> bool:
    """Whether `name` can be a model's name on the hub, and so is no path."""
    return _REPO.match(name) is not None and ".." not in name


def folder_name(name: str) -> str:
    """What the models directory calls the hub's model `name`: short if it has a short name, and without `/`."""
    return _SHORT.get(name, name).replace("/", "--")


def _advice(wanted: str) -> str:
    names = sorted({found.name for found in list_models()} | {*_HUB_ALIASES})
    near = get_close_matches(wanted, names, n=1)
    if is_repo_name(wanted) and (wanted in _HUB_ALIASES or "/" in wanted):
        return f" `storyteller models get {wanted}` fetches it."
    hint = f" Perhaps {near[0]}?" if near else ""
    return f"{hint} `storyteller models list` shows what is here."


def _called(name: str) -> Iterator[Found]:
    """Every folder known by `name`: in the models directory, as the starter, in the hub cache."""
    own = models_dir() / folder_name(name)
    if is_folder(own):
        yield Found(own, own.name, "in the models directory")
    if name == STARTER:
        yield Found(starter_model_dir(), STARTER, "shipped with storyteller")
    for repo in dict.fromkeys((hub_name(name), name)):
        snapshot = _snapshot(hub_cache() / f"models--{repo.replace('/', '--')}")
        if snapshot is not None:
            yield Found(snapshot, name, "in the Hugging Face cache")


def _own_models() -> Iterator[Found]:
    for folder in _subfolders(models_dir()):
        yield Found(folder, folder.name, "in the models directory")


def _cached_models() -> Iterator[Found]:
    for repository in _subfolders(hub_cache()):
        snapshot = _snapshot(repository)
        if repository.name.startswith("models--") and snapshot is not None:
            name = repository.name.removeprefix("models--").replace("--", "/")
            yield Found(snapshot, _SHORT.get(name, name), "in the Hugging Face cache")


def _snapshot(repository: Path) -> Path | None:
    """The revision the cache calls main, else the newest one that has a config."""
    snapshots = [
        folder for folder in _subfolders(repository / "snapshots") if is_there(folder / "config.json")
    ]
    try:
        main = (repository / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        main = ""
    for snapshot in snapshots:
        if snapshot.name == main:
            return snapshot
    return max(snapshots, key=lambda folder: folder.stat().st_mtime, default=None)


def _is_gpt2(folder: Path) -> bool:
    try:
        read_config(folder)
        return bool(weight_files(folder)) or has_pickles(folder)
    except ModelError:
        return False


def _is_adapter(folder: Path) -> bool:
    try:
        return (folder / "adapter_config.json").is_file() and (folder / "adapter_model.safetensors").is_file()
    except OSError:  # closed to us
        return False


def _newest_for(base: str, folder: Path) -> Path | None:
    """The newest version in `folder` whose card names the model with hash `base`."""
    versions = sorted(
        _subfolders(folder), key=lambda version: (len(version.name), version.name), reverse=True
    )
    return next((one for one in versions if _is_adapter(one) and _base_of(one) == base), None)


def _base_of(adapter: Path) -> str | None:
    """The hash of the model an adapter was trained on, as its card says; None without a readable card."""
    try:
        with (adapter / "card.json").open("rb") as stream:
            card = json.loads(stream.read(_CARD_LIMIT))
        base = card["base_hash"]
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return None
    return str(base)


def _subfolders(folder: Path) -> list[Path]:
    try:
        return sorted(
            entry for entry in folder.iterdir() if not entry.name.startswith(".") and entry.is_dir()
        )
    except OSError:
        return []
