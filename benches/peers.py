"""Other programs that compare.py measures: what they run, and where they write."""

import contextlib
import dataclasses
import pathlib
import shutil
import sys
import typing

from images import layers_of

# Reads a tar without the names that match, as a script of a few lines would.
TARFILE = """
import fnmatch, sys, tarfile
source, patterns = sys.argv[1], sys.argv[2:]
with tarfile.open(source) as old, tarfile.open(fileobj=sys.stdout.buffer, mode='w|', format=tarfile.PAX_FORMAT) as new:
    for entry in old:
        if not any(fnmatch.fnmatchcase(entry.name, p) or fnmatch.fnmatchcase(entry.name, p + '/*') for p in patterns):
            new.addfile(entry, old.extractfile(entry) if entry.isreg() else None)
"""


@dataclasses.dataclass(eq=False)
class Job:
    """A row of the table."""

    name: str
    command: list
    # Tells the layers that the command wrote.
    results: typing.Callable[[], list]
    # The image that it is given.
    base: pathlib.Path
    # Entered before every run and left after it, without being measured.
    around: typing.Callable[[], contextlib.AbstractContextManager] = contextlib.nullcontext


def peers(base, patterns, out):
    """A job for each program that is installed and can do such a removal, writing to a directory that is empty before each."""
    names = [f"Files/{pattern}".replace("\\", "/").removesuffix("/**") for pattern in patterns]
    yield from pipelines(base, names, out)


def pipelines(base, names, out):
    """Programs that filter a tar, and a compressor, run on each layer."""
    quoted = " ".join(f"'{name}'" for name in names)
    excludes = " ".join(f"--exclude '{name}'" for name in names)
    python = f"'{sys.executable}' -c \"$TARFILE\""
    programs = {
        "bsdtar, gzip -6": ("bsdtar", f"bsdtar -cf - {excludes} @{{layer}} | gzip -6"),
        "bsdtar, pigz -6": ("bsdtar pigz", f"bsdtar -cf - {excludes} @{{layer}} | pigz -6"),
        "gzip, GNU tar --delete, gzip -6": ("tar", f"gzip -dc {{layer}} | tar --delete --wildcards {quoted} | gzip -6"),
        "Python's tarfile, pigz -6": ("pigz", f"{python} {{layer}} {quoted} | pigz -6"),
    }
    layers = layers_of(base)
    results = [out / f"layer{number}" for number in range(len(layers))]
    for name, (needed, line) in programs.items():
        if all(shutil.which(program) for program in needed.split()):
            # GNU tar fails when a layer has none of the names; that is not what is measured.
            lines = [f"{line.format(layer=layer)} > {result}" for layer, result in zip(layers, results)]
            yield Job(name, ["env", f"TARFILE={TARFILE}", "sh", "-c", "\n".join(lines) + "\nexit 0"], lambda: results, base)
