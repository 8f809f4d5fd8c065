"""Build script: puts op_tables/ and yml/, which stand beside the package, inside it."""

from pathlib import Path

from setuptools import find_namespace_packages, setup

DATA = ("op_tables", "yml")


def data_packages() -> dict[str, str]:
    """Every folder of the data directories, as a package of hexconv."""
    packages = {}
    for top in DATA:
        for path in [Path(top), *sorted(p for p in Path(top).rglob("*") if p.is_dir())]:
            packages["hexconv." + ".".join(path.parts)] = path.as_posix()
    return packages


# Folders of data and of C++ inside hexconv are packages too: setuptools wants every one named.
code = find_namespace_packages(include=["hexconv", "hexconv.*"], exclude=["*.__pycache__"])
data = data_packages()
setup(
    packages=[*code, *data],
    package_dir=data,
    package_data={
        "hexconv": ["py.typed", "**/*"],
        **{package: ["*.yml", "*.yaml", "*.json"] for package in data},
    },
    exclude_package_data={"hexconv": ["**/__pycache__/*", "**/*.pyc"]},
)
