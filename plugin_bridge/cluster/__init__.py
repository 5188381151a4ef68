"""Catalogues: many songs to their stems, on the processors of this machine or of a Dask cluster.

In order: `songs` finds what there is, `manifest` knows what was done, `plan` says what is missing,
`task` renders one song on a worker, `attempts` remembers there who began it, `workers` and
`scheduler` bring songs and workers together, `catalogue` joins all of them.
"""
