"""Other people's conventions: OSC of DAWs and spatial tools, and the files that set them up.

`osc.dialects` reads their messages; `reaper` and `touchosc` write a pattern file and a layout that
`README.md` says how to use.
"""
