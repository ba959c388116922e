"""`python -m tools.image build|derive|report`: what `make image`, tests and `make image-report` run."""

from __future__ import annotations

import argparse
from pathlib import Path

from tools.environment import fail
from tools.image.build import RUNNER_IMAGE, Wish, build, cores, default_image, derive
from tools.image.builder import BuilderError, find_builder
from tools.image.report import report


def main() -> None:
    """Do what the command line asks for. Exit code 1 where that cannot be done."""
    given = _parser().parse_args()
    try:
        builder = find_builder(given.builder)
        if given.command == "report":
            report(given.image or default_image(), builder)
            return
        if given.command == "derive":
            derive(given.image or default_image(), given.base_image, Path(given.context), builder)
            return
        archive = Path(given.archive).absolute() if given.archive else None
        build(Wish(given.image, given.base_image, archive, given.fresh, given.core), builder)
    except BuilderError as error:
        fail(str(error))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tools.image", description="The operator's image.")
    commands = parser.add_subparsers(dest="command", required=True)
    make = commands.add_parser("build", help="build the image, and the base that other operators are built on")
    on_top = commands.add_parser("derive", help="build the Dockerfile of an operator on top of an image that is there")
    on_top.add_argument("context", metavar="DIRECTORY", help="where the Dockerfile is; it gets the argument BASE_IMAGE")
    tell = commands.add_parser("report", help="print what is in the image, and what is known against that")
    for one in (make, on_top, tell):
        one.add_argument("--image", default="", metavar="NAME", help=f"the image's name ({default_image()})")
        one.add_argument(
            "--builder", default="", metavar="PROGRAM", help="docker, podman or buildah; the first that works"
        )
    base = "an image, or mmdebstrap:SUITE to make one of Debian's packages; the Dockerfile's default"
    make.add_argument("--base-image", default="", metavar="NAME", help=base)
    on_top.add_argument("--base-image", default=RUNNER_IMAGE, metavar="NAME", help=f"the image below ({RUNNER_IMAGE})")
    core = f"the ansible-core of the images, which get its tag: {', '.join(cores())}; the newest"
    make.add_argument("--core", default="", metavar="X.Y", help=core)
    make.add_argument("--archive", default="", metavar="FILE", help="save the image there, too, as a docker-archive")
    make.add_argument("--fresh", action="store_true", help="use nothing of earlier builds")
    return parser


if __name__ == "__main__":
    main()
