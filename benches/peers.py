"""Other programs that compare.py measures: what they run, and where they write."""

import contextlib
import dataclasses
import pathlib
import shutil
import socket
import subprocess
import sys
import time
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

# In these, $1 is the layout with the image, $2 the directory to write to, and {names} are what is to be removed.
UMOCI = """
umoci unpack --image "$2/image:ltsc2019" "$2/bundle"
(cd "$2/bundle/rootfs" && rm -rf {names})
umoci repack --image "$2/image:slim" "$2/bundle"
"""
BUILDAH = """
out=$2
export TMPDIR="$out"
buildah() {{ command buildah --root "$out/root" --runroot "$out/run" --storage-driver vfs "$@"; }}
container=$(buildah from --os {system} --arch amd64 "oci:$1:ltsc2019")
root=$(buildah mount "$container")
(cd "$root" && rm -rf {names})
buildah commit --disable-compression=false "$container" "oci:$out/slim:slim"
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


def peers(base, linux, patterns, out):
    """A job for each program that is installed and can do such a removal, writing to a directory that is empty before each.

    `linux` is the copy of the image for Linux programs.
    """
    names = [name_of(pattern) for pattern in patterns]
    yield from pipelines(base, names, out)
    # It knows no patterns.
    if shutil.which("regctl") and not any(character in name for name in names for character in "*?["):
        strip = [word for name in names for word in ("--layer-strip-file", name)]
        command = ["regctl", "image", "mod", f"ocidir://{base}:ltsc2019", "--create", f"ocidir://{out}:slim", *strip]
        yield Job("regctl image mod --layer-strip-file", command, lambda: layers_of(out, "slim"), base)
    for image, system, suffix in [(base, "windows", ""), (linux, "linux", " (Linux copy)")]:
        if shutil.which("umoci"):
            yield Job(
                f"umoci unpack, rm, umoci repack{suffix}",
                script(UMOCI.format(names=" ".join(names)), image, out),
                lambda: layers_of(out / "image", "slim"),
                image,
                # It adds to the layout that it reads.
                lambda image=image: contextlib.nullcontext(shutil.copytree(image, out / "image")),
            )
        if shutil.which("buildah"):
            yield Job(
                f"buildah from, rm, buildah commit{suffix}",
                script(BUILDAH.format(names=" ".join(names), system=system), image, out),
                lambda: layers_of(out / "slim", "slim"),
                image,
            )
    if shutil.which("crane"):
        yield flatten(base, out)
    if shutil.which("skopeo"):
        command = ["skopeo", "--insecure-policy", "copy", "--all", f"oci:{base}:ltsc2019", f"oci:{out}:slim"]
        yield Job("skopeo copy, removing nothing", command, lambda: layers_of(out, "slim"), base)


def name_of(pattern):
    """The name in the tar that a profile's pattern stands for."""
    path = pattern.replace("\\", "/").removesuffix("/**")
    return path.replace("UtilityVM:", "UtilityVM/Files") if path.startswith("UtilityVM:") else f"Files/{path}"


def script(lines, *arguments):
    return ["sh", "-ec", lines, "sh", *arguments]


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


def flatten(base, out):
    """crane flatten, which works on registries: on one that is on this machine and in another process, not measured."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"

    def crane(*arguments):
        return subprocess.run(["crane", *arguments], check=True, stdin=subprocess.DEVNULL, capture_output=True)

    @contextlib.contextmanager
    def registry():
        (out / "registry").mkdir()
        command = ["crane", "registry", "serve", "--address", address, "--disk", out / "registry"]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(100):
                with contextlib.suppress(OSError), socket.create_connection(address.split(":")):
                    break
                time.sleep(0.1)
            crane("push", base, f"{address}/image:ltsc2019")
            yield
        finally:
            server.terminate()
            server.wait()

    def results():
        crane("pull", "--format", "oci", f"{address}/image:slim", out / "flat")
        return layers_of(out / "flat")

    command = ["crane", "flatten", f"{address}/image:ltsc2019", "--tag", f"{address}/image:slim"]
    return Job("crane flatten, removing nothing", command, results, base, registry)
