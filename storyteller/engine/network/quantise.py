"""Weights in eight and four bits: which codes stand for a weight, chosen so that the model's text suffers least.

Eight bits: one scale an output, to the nearest. Four bits: a scale and a minimum for every 64 inputs, and the error
of each input made up for by the inputs after it, as far as the inputs seen in calibration allow (GPTQ). Measured on
the starter's stand-in (12.65 M parameters; small models suffer most), perplexity of unseen fiction and verse: eight
bits +0.1 %; four bits to the nearest +3.4 % and +4.1 %, fitted by least squares +2.8 % and +3.5 %, GPTQ +0.6 % and +0.7 %.

Source: Frantar et al. 2022, GPTQ.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

if TYPE_CHECKING:
    from torch import Tensor

GROUP: Final = (
    64  # inputs that share a scale and a minimum in four bits; 32 gains 0.2 % and costs a tenth of the speed
)
_LEVELS: Final = 15
_FITS: Final = 3  # rounds of fitting scale and minimum to the codes
_DAMPING: Final = (
    0.01  # of the mean of a Hessian's diagonal: what was not seen in calibration is not free to change
)


@dataclass(frozen=True, eq=False)
class Codes:
    """A weight (outputs, inputs) in few bits: w[n, k] = scales[n, k // group] * codes[n, k] + mins[n, k // group].

    Attributes:
        codes: (outputs, inputs) uint8 from 0 to 15, or int8 from -127 to 127.
        scales: (outputs, groups) float16, or (outputs, 1) float32.
        mins: (outputs, groups) float16, or None for eight bits.
        group: inputs to a scale; the last group may be shorter.
    """

    codes: Tensor
    scales: Tensor
    mins: Tensor | None
    bits: int
    group: int


def quantise_8(weight: Tensor) -> Codes:
    """`weight` (outputs, inputs), float32, in eight bits."""
    scales = (weight.abs().amax(1, keepdim=True) / 127).clamp(min=torch.finfo(torch.float32).tiny)
    codes = (weight / scales).round_().to(torch.int8)
    return Codes(codes, scales, None, 8, weight.shape[1])


def quantise_4(weight: Tensor, hessian: Tensor | None = None, *, group: int = GROUP) -> Codes:
    """`weight` (outputs, inputs), float32, in four bits.

    `hessian` is (inputs, inputs), the sum of x x^T over inputs x seen in calibration; None: all inputs are alike.
    """
    outputs, inputs = weight.shape
    if hessian is not None and not bool(hessian.diagonal().sum().isfinite()):
        hessian = None  # calibration overflowed: nothing to go by, and no factor of it exists
    left = weight.clone()  # what is still to be represented
    importance = torch.ones(inputs) if hessian is None else _seen(hessian)
    factor = None if hessian is None else _inverse_factor(hessian)
    codes = torch.empty(outputs, inputs, dtype=torch.uint8)
    groups = -(-inputs // group)
    scales = torch.empty(outputs, groups, dtype=torch.float16)
    mins = torch.empty(outputs, groups, dtype=torch.float16)
    for index, first in enumerate(range(0, inputs, group)):
        part = slice(first, min(first + group, inputs))
        scale, least = _fit(left[:, part], importance[part])
        scales[:, index], mins[:, index] = scale[:, 0].half(), least[:, 0].half()
        scale, least = scales[:, index : index + 1].float(), mins[:, index : index + 1].float()
        if factor is None:
            codes[:, part] = _nearest(left[:, part], scale, least).to(torch.uint8)
            continue
        errors = _code_in_turn(left[:, part], scale, least, factor[part, part], codes[:, part])
        left[:, part.stop :] -= errors @ factor[part, part.stop :]
    return Codes(codes, scales, mins, 4, group)


def dequantise(codes: Codes, dtype: torch.dtype = torch.float32) -> Tensor:
    """The weight (outputs, inputs) that `codes` stand for."""
    inputs = codes.codes.shape[1]
    scales = codes.scales.float().repeat_interleave(codes.group, 1)[:, :inputs]
    weight = codes.codes.float() * scales
    if codes.mins is not None:
        weight += codes.mins.float().repeat_interleave(codes.group, 1)[:, :inputs]
    return weight.to(dtype)


def _code_in_turn(part: Tensor, scale: Tensor, least: Tensor, factor: Tensor, codes: Tensor) -> Tensor:
    """Code one input after another of `part` (outputs, n) into `codes`, each making up for the errors before it.

    `factor` is (n, n) of the upper factor of the inverse Hessian. Returns (outputs, n): each input's error over its
    place on the factor's diagonal.
    """
    left = part.t().contiguous()  # (n, outputs): an input's weights side by side
    errors = torch.empty_like(left)
    scale, least = scale[:, 0], least[:, 0]
    for k in range(len(left)):
        code = _nearest(left[k], scale, least)
        codes[:, k] = code.to(torch.uint8)
        errors[k] = (left[k] - (code * scale + least)) / factor[k, k]
        left[k + 1 :].addr_(factor[k, k + 1 :], errors[k], alpha=-1)
    return errors.t()


def _nearest(weight: Tensor, scale: Tensor, least: Tensor) -> Tensor:
    return ((weight - least) / scale).round_().clamp_(0, _LEVELS)


def _fit(part: Tensor, importance: Tensor) -> tuple[Tensor, Tensor]:
    """Scale and minimum (outputs, 1) of one group `part` (outputs, n): by turns the nearest codes and the best line through them."""
    least, most = part.amin(1, keepdim=True), part.amax(1, keepdim=True)
    smallest = 2.0**-24  # float16's; a group of equal weights is its minimum alone
    scale = ((most - least) / _LEVELS).clamp(min=smallest)
    share = importance / importance.sum()
    for _ in range(_FITS):
        codes = _nearest(part, scale, least)
        mean_code, mean_weight = codes @ share, part @ share
        codes = codes - mean_code[:, None]
        spread = codes.square() @ share
        slope = ((codes * (part - mean_weight[:, None])) @ share) / spread.clamp(min=1e-12)
        scale = torch.where(spread > 0, slope, scale[:, 0]).clamp(min=smallest)[:, None]
        least = mean_weight[:, None] - scale * mean_code[:, None]
    return scale, least


def _seen(hessian: Tensor) -> Tensor:
    """(inputs,) how much each input matters; one never seen matters a little."""
    diagonal = hessian.diagonal()
    return diagonal.clamp(min=float(diagonal.mean()) * 1e-3 + 1e-12)


def _inverse_factor(hessian: Tensor) -> Tensor:
    """The upper Cholesky factor of the damped inverse."""
    damping = _DAMPING * float(hessian.diagonal().mean()) + 1e-6
    while True:
        damped = hessian.clone()
        damped.diagonal().add_(damping)
        lower, failed = torch.linalg.cholesky_ex(damped)
        if not failed:
            inverse = torch.cholesky_inverse(lower)
            upper, failed = torch.linalg.cholesky_ex(inverse, upper=True)
            if not failed:
                factor: Tensor = upper
                return factor
        damping *= 10
