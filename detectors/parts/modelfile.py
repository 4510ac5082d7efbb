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
        ModelFileError: no such file, or one of another make.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ModelFileError(f"no fitted model at {path}")
    try:
        module.load_state_dict(load_file(str(path)))
    except (SafetensorError, RuntimeError) as error:
        raise ModelFileError(f"{path} does not hold this model: {str(error).splitlines()[0]}") from None
