"""The servers that tests may start, stop, kill, freeze and cut off as they like.

`service.py` says what each of them can do. The rest is by server and by what runs it: a module in
`_local` runs it as a local process, one in `_container` in a container.
"""
