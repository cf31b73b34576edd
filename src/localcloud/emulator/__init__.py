"""ministack, an AWS emulator, with its stream mappings off and with what this system needs of it repaired.

    patching    what a repair is, and how a changed ministack is noticed
    repairs     all repairs, in the order in which they are made
    the others  the repairs, by service

Why each repair, and why this version: docs/decisions/0002.
"""
