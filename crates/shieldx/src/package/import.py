"""Imports what pip put into a folder: every top-level module, each in a process of its own, so that
one that ends its process hides no other. Arguments: the folder, and the name a registry was asked
for, or nothing. This process itself runs no code of the package."""

import importlib.metadata
import os
import re
import subprocess
import sys

target, asked = sys.argv[1:3]
MODULES_MAX = 100
SUFFIXES = (".py", ".pyc", ".so")


def top_levels(names):
    """The modules that files with these paths, relative to the folder, belong to."""
    found = set()
    for name in names:
        first, _, rest = name.partition("/")
        if "/" not in name:
            stem = first.split(".")[0]
            if first.endswith(SUFFIXES):
                found.add(stem)
        elif rest.endswith(SUFFIXES) and first != "bin":
            found.add(first)
    return {name for name in found if name.isidentifier() and name != "__pycache__"}


def listed():
    for folder, _, files in os.walk(target):
        for name in files:
            yield os.path.relpath(os.path.join(folder, name), target)


def plain(name):
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", name)[0]).lower()


def is_it(distribution):
    """Whether this is what was asked for, and not something that it needs."""
    if asked:
        return plain(distribution.metadata["Name"]) == plain(asked)
    return distribution.read_text("direct_url.json") is not None


modules = top_levels(listed())
for distribution in importlib.metadata.distributions(path=[target]):
    if not is_it(distribution):
        modules -= top_levels(str(path) for path in distribution.files or [])

if not modules:
    print("nothing to import", file=sys.stderr)
if len(modules) > MODULES_MAX:
    sys.exit(f"{len(modules)} modules at the top; at most {MODULES_MAX} are imported")

# As after a real install: the folder is a site, so its .pth files are read.
CODE = "import site, sys; site.addsitedir(sys.argv[1]); __import__(sys.argv[2])"
paths = [target, os.environ.get("PYTHONPATH", "")]
environment = dict(os.environ, PYTHONPATH=":".join(filter(None, paths)))
failed = 0
for name in sorted(modules):
    code = subprocess.call([sys.executable, "-c", CODE, target, name], env=environment)
    print(f"import {name}: " + ("done" if code == 0 else f"exit {code}"), file=sys.stderr)
    failed = failed or code
sys.exit(1 if failed else 0)
