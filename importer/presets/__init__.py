"""Known token stores, by name: which column of each holds what, as data.

A preset is one TOML file in this folder. `mechanism` compiles it, for the columns that a file has, to the mapping that
a user would otherwise write; `fit` says which presets a file looks like.
"""

from importer.presets.fit import Fit, fitting
from importer.presets.mechanism import Taken, take
from importer.presets.store import NAMES, Preset, load_preset

__all__ = ["NAMES", "Fit", "Preset", "Taken", "fitting", "load_preset", "take"]
