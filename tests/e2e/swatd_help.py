"""What swatd --help says there is, and what the shells and the manual are to say too."""

import re

import swatd

SECTION = re.compile(r"^(\w+):$", re.M)
OPTION = re.compile(r"^  (-[\w-]+(?:,-[\w-]+)*)", re.M)
WORD = re.compile(r"^  (\w+) ", re.M)


def _help(*command):
    return swatd.output_of(*command, "--help")


def _options(text):
    return {name for names in OPTION.findall(text) for name in names.split(",")}


def commands():
    return set(WORD.findall(_help().partition("Subcommands:")[2]))


def options(command=None):
    """Those that stand before a command; or those of this command's own."""
    own = _options(_help(command) if command else _help().partition("Subcommands:")[0])
    return own - {"-h", "--help"} if command else own


def all_options():
    return options().union(*(options(command) for command in commands()))
