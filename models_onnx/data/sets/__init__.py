"""Songs on disk: shards of the renderer, and loaders of public data sets."""
