"""A fitted model on disk: one safetensors file with every parameter and buffer."""

from __future__ import annotations

from pathlib import Path

from torch import nn

__all__ = ["ModelFileError", "read_model", "write_model"]


class ModelFileError(ValueError):
    """A file does not hold the model that it should; the message is one line."""


def write_model(module: nn.Module, path: Path) -> None:
    """Write all parameters and buffers of `module`."""
    from safetensors.torch import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}, str(path))


def read_model(module: nn.Module, path: Path) -> None:
    """Fill `module` with what `write_model` wrote of a module of the same make.

    Raises:
        ModelFileError: no such file, one of another make, or one with a value that is not a number.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ModelFileError(f"no fitted model at {path}")
    try:
        state = load_file(str(path))
        module.load_state_dict(state)
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(line.strip() for line in str(error).splitlines())
        raise ModelFileError(f"{path} does not hold this model: {reason}") from None
    # Infinities have a meaning: the SVM of a class that had no object scores -inf.
    broken = next((key for key, value in state.items() if value.isnan().any()), None)
    if broken is not None:
        raise ModelFileError(f"{path}: '{broken}' has a value that is not a number; fit the model anew")
