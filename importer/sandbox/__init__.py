"""A local Ampersand API for trials and tests: it behaves, and misbehaves on request. Everything in it is fake."""

from importer.sandbox.faults import FAULTS
from importer.sandbox.server import Sandbox, serve_forever

__all__ = ["FAULTS", "Sandbox", "serve_forever"]
