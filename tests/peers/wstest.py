"""Runs Autobahn's `wstest` of Python 2.7: wstest.py FOLDER ARGUMENTS. Its packages lie in the folder, without an
environment of their own, because this Python has no `venv`."""

import site
import sys

site.addsitedir(sys.argv.pop(1))

from autobahntestsuite import wstest  # noqa: E402

wstest.run()
