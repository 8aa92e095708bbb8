"""Services of our own: small, and each keeps a ledger of all that it received.

They run from here as local processes, and from an image with nothing but this folder, `websockets`
and a Python, so they use nothing else.
"""
