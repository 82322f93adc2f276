"""The frozen base and peft's low-rank products on it: opened here, and nowhere else."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING, Any, Final

import torch

from storyteller.errors import TrainingError
from storyteller.training.network import Learner

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from storyteller.training.settings import Settings

TARGETS: Final = (
    "c_attn",
    "c_proj",
    "c_fc",
)  # "c_proj" is the attention's and the MLP's; the tied head never
_NAME: Final = "default"


def open_learner(
    folder: Path, settings: Settings, device: torch.device, *, recompute: bool = False
) -> Learner:
    """The model in `folder` with fresh low-rank products: B is zero, so it is the base; A is drawn from the seed.

    Raises:
        TrainingError: bitsandbytes cannot hold the base in so few bits here.
    """
    quieten()
    import peft

    torch.manual_seed(settings.seed)
    base = _open_base(folder, settings, device)
    library: Any = peft
    config = library.LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(TARGETS),
        fan_in_fan_out=settings.quantise
        is None,  # Conv1D keeps inputs x outputs; bitsandbytes' linears do not
        bias="none",
        task_type=library.TaskType.CAUSAL_LM,
    )
    model = library.get_peft_model(base, config)
    model.train()
    return Learner(model, recompute=recompute)


def trainable(learner: Learner) -> list[tuple[str, torch.nn.Parameter]]:
    """The numbers that learn, by name, in an order of their own that never changes."""
    named = [(name, value) for name, value in learner.model.named_parameters() if value.requires_grad]
    return sorted(named)


def adapter_tensors(learner: Learner) -> dict[str, Tensor]:
    """The adapter as peft saves it, a copy that learning does not change: float32, on the processor."""
    from peft import get_peft_model_state_dict

    state: dict[str, Tensor] = get_peft_model_state_dict(learner.model)
    return {
        name: tensor.detach().to("cpu", torch.float32, copy=True).contiguous()
        for name, tensor in state.items()
    }


def set_adapter_tensors(learner: Learner, tensors: dict[str, Tensor]) -> None:
    """Make the adapter what `adapter_tensors` returned once."""
    from peft import set_peft_model_state_dict

    set_peft_model_state_dict(learner.model, tensors)


def quieten() -> None:
    """Let the libraries keep what they have to say: bitsandbytes speaks of kernels it may fetch, and never shall."""
    logging.getLogger("bitsandbytes").setLevel(logging.CRITICAL)
    logging.getLogger("transformers").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="(peft|transformers|bitsandbytes)")


def _open_base(folder: Path, settings: Settings, device: torch.device) -> Any:
    import transformers

    library: Any = transformers
    dtype = getattr(torch, settings.dtype)
    given: dict[str, Any] = {"dtype": dtype, "local_files_only": True, "use_safetensors": True}
    if settings.quantise is not None:
        given["quantization_config"] = (
            library.BitsAndBytesConfig(load_in_8bit=True)
            if settings.quantise == "8bit"
            else library.BitsAndBytesConfig(
                load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype
            )
        )
        given["device_map"] = {"": str(device)}
    library.utils.logging.disable_progress_bar()
    try:
        model = library.GPT2LMHeadModel.from_pretrained(folder, **given)
    except (ImportError, RuntimeError, ValueError) as error:
        if settings.quantise is None:
            raise
        raise TrainingError(
            f"The base cannot be held in {settings.quantise} here ({error}). Train without --quantize."
        ) from error
    if settings.quantise is None:
        model.to(device)
    for part in model.modules():
        # Measured once, bitsandbytes' 4-bit linears on a processor keep a layout that nothing can be learned through.
        if hasattr(part, "support_avx512bf16_for_cpu"):
            part.support_avx512bf16_for_cpu = False
    for parameter in model.parameters():
        parameter.requires_grad = False
    return model
