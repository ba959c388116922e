"""The operator's image: built, and looked into.

`__main__` (`python -m tools.image`, called by `make image`) asks `builder` for docker, podman or buildah, `base` for a
base image where one is to be made here, and `build` for the image. `archive` reads a saved image, `contents` finds the
packages in it, and `report` says them (`make image-report`). Standard library only, but for `sbom`, which has an
environment of its own.
"""
