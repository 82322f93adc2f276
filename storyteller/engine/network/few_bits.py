"""A model's products in eight or four bits: from the cache on disk, or made from its weights, a layer at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from storyteller.engine.network import quantised_cache
from storyteller.engine.network.calibration import Calibration
from storyteller.engine.network.model_config import product_shapes
from storyteller.engine.network.quantise import GROUP, quantise_4, quantise_8
from storyteller.engine.network.quantised import quantised_linear
from storyteller.engine.network.tiles import Tiles, tile
from storyteller.errors import ModelError
from storyteller.paths import bundled_dir

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from storyteller.engine.network.device import Placement
    from storyteller.engine.network.linear import Linear
    from storyteller.engine.network.model import Norm
    from storyteller.engine.network.model_config import ModelConfig
    from storyteller.engine.network.native.engine import NativeEngine
    from storyteller.engine.network.quantise import Codes

HEAD: Final = "head"


def calibration_text() -> str:
    """Prose, verse and code that ship with the program, for four bits."""
    return (bundled_dir() / "assets" / "eval" / "calibration.txt").read_text(encoding="utf8")


class FewBits:
    """Products of one model in few bits.

    Attributes:
        is_stored: whether all of them are in the cache, so that no weight need be read.
    """

    def __init__(
        self,
        config: ModelConfig,
        placement: Placement,
        native: NativeEngine | None,
        path: Path,
        calibration_ids: Sequence[int],
    ) -> None:
        """`path` is the cache's; `calibration_ids` are tokens of ordinary text, for four bits."""
        self._config, self._placement, self._native = config, placement, native
        self._path = path
        self._ids = calibration_ids
        self._calibration: Calibration | None = None
        self._made: dict[str, Tensor] = {}
        self._stored = self._checked(quantised_cache.load(path))
        self.is_stored = self._stored is not None

    def begin(self, token_embedding: Tensor, position_embedding: Tensor) -> None:
        """Before the first layer that is made: the embeddings of the calibration text, read on the processor as the weights are."""
        if self._placement.bits == 4:
            self._calibration = Calibration(self._ids, token_embedding.cpu(), position_embedding.cpu())

    def layer(
        self, index: int, norms: tuple[Norm, Norm], products: dict[str, tuple[Tensor, Tensor]]
    ) -> dict[str, Linear]:
        """Make the products of a layer, given by part as weight (outputs, inputs) and bias (outputs,), float32.

        Raises:
            ModelError: a weight is too large for so few bits.
        """
        hessians: dict[str, Tensor] = {}
        if self._calibration is not None:
            hessians = self._calibration.layer(self._config, index, norms, products)
        made = {}
        for part, (weight, bias) in products.items():
            codes = self._codes(weight, hessians.get(part))
            made[part] = self._keep(f"h.{index}.{part}", tile(codes), bias)
        return made

    def head(self, norm: Norm, weight: Tensor) -> Linear:
        """After the last layer: make the product to logits, (vocab, d) float32, of what comes through `norm`."""
        hessian = None if self._calibration is None else self._calibration.head(self._config, norm)
        return self._keep(HEAD, tile(self._codes(weight, hessian)), None)

    def stored(self, name: str, shape: tuple[int, int], bias: Tensor | None) -> Linear:
        """The product `name` of `shape` (outputs, inputs), as it is in the cache; ask `is_stored` first."""
        assert self._stored is not None  # noqa: S101 - the caller's contract
        return self._linear(self._tiles(self._stored, name, shape), bias)

    def finish(self) -> str | None:
        """Keep what was made for the next start; returns a sentence where that failed."""
        return quantised_cache.store(self._path, self._made) if self._made else None

    def _checked(self, stored: dict[str, Tensor] | None) -> dict[str, Tensor] | None:
        """`stored`, if it holds every product as it should be."""
        config = self._config
        try:
            for index in range(config.n_layer):
                for part, (inputs, outputs) in product_shapes(config).items():
                    self._tiles(stored or {}, f"h.{index}.{part}", (outputs, inputs))
            self._tiles(stored or {}, HEAD, (config.vocab_size, config.n_embd))
        except (KeyError, ValueError):
            return None
        return stored

    def _tiles(self, stored: dict[str, Tensor], name: str, shape: tuple[int, int]) -> Tiles:
        bits = self._placement.bits or 8
        group = shape[1] if bits == 8 else GROUP
        tiles = Tiles(stored[f"{name}.data"], stored[f"{name}.scales"], bits, group, *shape)
        tiles.check()
        return tiles

    def _codes(self, weight: Tensor, hessian: Tensor | None) -> Codes:
        return quantise_8(weight) if self._placement.bits == 8 else quantise_4(weight, hessian)

    def _keep(self, name: str, tiles: Tiles, bias: Tensor | None) -> Linear:
        try:
            tiles.check()
        except ValueError as error:  # a float16 scale has no room for weights above 65,504
            raise ModelError(
                f"The weight {name} holds numbers too large for {tiles.bits} bits. Open the model in float32."
            ) from error
        self._made |= {f"{name}.data": tiles.data, f"{name}.scales": tiles.scales}
        return self._linear(tiles, bias)

    def _linear(self, tiles: Tiles, bias: Tensor | None) -> Linear:
        return quantised_linear(tiles, bias, self._placement.dtype, self._placement.device, self._native)
