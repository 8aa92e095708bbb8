"""As ``urllib3.contrib.emscripten``."""

from urllib3.contrib.emscripten import *
