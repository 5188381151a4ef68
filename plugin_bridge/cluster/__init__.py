"""Catalogues: many songs to their stems, on the processors of this machine or of a Dask cluster.

In order: `songs` finds what there is, `manifest` knows what was done, `plan` says what is missing,
`task` renders one song on a worker, `attempts` remembers there who began it, `workers` and
`scheduler` bring songs and workers together, `catalogue` joins all of them.

The process of the command has the manifest, the lock on it and the scheduler of Dask; each worker
is a process with one thread that renders one song after the other. A song is never cut into pieces:
with more songs than workers nothing is gained by it, and the states of a recurrent network would
not be those of the whole.
"""
