"""The panel: a control surface in a browser, to see what comes from where and to move it.

In reading order: `picture` (sound to what is drawn), `shown` (a surface to what is told, and what
of it has changed), `player` (a file that is tried), `performance` (moves to a file of lanes),
`examples` (what is dropped onto a handle), `heard_now` and `timbre_list` (instruments that are
heard, timbres to choose from), `hub` (the browsers that are connected), `web` (pages and who may
have them), `pace` (when it looks at the surface), `server` (all of it beside other servers),
`client` (a browser's side in Python), `static` (the page: plain modules, no build step).
"""
