"""Other people's conventions: OSC of DAWs and spatial tools, and the files that set them up.

`conventions` reads their messages; `reaper` and `touchosc` write a pattern file and a layout;
`README.md` says how each is set up.
"""
