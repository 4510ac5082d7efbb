"""A method that cannot be imported."""

from a_library_that_is_not_installed import Broken

__all__ = ["Broken"]
