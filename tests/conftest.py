"""What all tests share."""

from functools import cache

import botocore.session
from botocore.loaders import create_loader

# Otherwise every session reads the services' models again, which takes longer than most tests do.
botocore.session.create_loader = cache(create_loader)
