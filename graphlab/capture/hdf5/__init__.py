"""A reader of HDF5 for models' weights: groups, attributes and where arrays stand in the file; nothing is read of the arrays.

Our own and not h5py: the C library can crash on damaged bytes, so it would need a child process and a copy of every file,
and 16 MB of dependency, where names, shapes and offsets are all that is asked for.
"""

from graphlab.capture.hdf5.buffer import SIGNATURE as SIGNATURE
from graphlab.capture.hdf5.objects import Dataset as Dataset, Group as Group, Hdf5 as Hdf5
from graphlab.capture.hdf5.types import Value as Value

__all__ = ["SIGNATURE", "Dataset", "Group", "Hdf5", "Value"]
