"""Profiles for hypothesis, to be chosen with --hypothesis-profile."""

from hypothesis import Phase, settings

settings.register_profile("unshrunk", phases=[Phase.generate])
