"""Byte-level BPE in GPT-2's layout: trained on a sample, or taken from a model; id 0 ends a document."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from storyteller.engine.prompt.tokens import load_tokens
from storyteller.errors import CorpusError
from storyteller.training.adapters.publish import copy_synced, sync_path, write_synced

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from storyteller.engine.network.model_config import ModelConfig

END: Final = "<|endoftext|>"
_SETTINGS: Final = "tokenizer_config.json"
FILES: Final = ("tokenizer.json", "vocab.json", "merges.txt", _SETTINGS)


def train_tokenizer(sample: Iterator[str], vocabulary: int) -> Tokenizer:
    """A tokenizer of `vocabulary` tokens for texts like `sample`: `END`, the 256 bytes, and what is joined most often.

    Raises:
        CorpusError: the sample has too few words for so many.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=[END],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sample, trainer)
    if tokenizer.get_vocab_size() < vocabulary:
        raise CorpusError(
            f"The texts give {tokenizer.get_vocab_size()} tokens and the recipe asks for {vocabulary}. "
            "Add texts, or lower tokenizer.vocabulary."
        )
    return tokenizer


def write_tokenizer(tokenizer: Tokenizer, folder: Path, end: str, context: int) -> None:
    """Write `FILES` into the empty folder `folder`, as transformers reads them.

    Args:
        tokenizer: byte-level BPE.
        folder: where to.
        end: what its end of a document is called.
        context: the longest sequence of its model.

    Raises:
        OSError: as the disk says.
    """
    write_synced(folder / "tokenizer.json", tokenizer.to_str(pretty=True).encode())
    for path in tokenizer.model.save(str(folder)):
        sync_path(folder / path)
    settings: dict[str, object] = {
        "tokenizer_class": "GPT2TokenizerFast",
        "model_max_length": context,
        "add_prefix_space": False,
    }
    settings |= dict.fromkeys(("bos_token", "eos_token", "unk_token"), end)
    write_synced(folder / _SETTINGS, json.dumps(settings, indent=1).encode())


def copy_tokenizer(source: Path, target: Path, context: int) -> None:
    """Copy `FILES` from the folder `source` into the folder `target`, for a model that sees `context` tokens.

    Tokens are made once for models of any context, and may have been made for another one's.

    Raises:
        OSError: as the disk says.
    """
    for name in FILES:
        if name != _SETTINGS:
            copy_synced(source / name, target / name)
    settings = json.loads((source / _SETTINGS).read_bytes()) | {"model_max_length": context}
    write_synced(target / _SETTINGS, json.dumps(settings, indent=1).encode())


def tokenizer_of(folder: Path, config: ModelConfig) -> tuple[Tokenizer, int]:
    """The tokenizer of the model in `folder`, and the id that ends a document.

    Raises:
        ModelError: it is missing, damaged, not byte-level, or another model's.
    """
    end = load_tokens(folder, vocab_size=config.vocab_size, eos=config.eos).eos
    if (folder / "tokenizer.json").exists():
        return Tokenizer.from_file(str(folder / "tokenizer.json")), end
    tokenizer = Tokenizer(models.BPE.from_file(str(folder / "vocab.json"), str(folder / "merges.txt")))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([str(tokenizer.id_to_token(end))])
    return tokenizer, end
