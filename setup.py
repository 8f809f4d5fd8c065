"""For tools and people that run setup.py: pip does it, by what pyproject.toml declares.

python setup.py install        into the environment of this Python
python setup.py develop        the same, editable
python setup.py bdist_wheel    a wheel in dist/ (`make dist` has the sdist and checks both)
"""

import subprocess
import sys
from pathlib import Path

COMMANDS = {
    "install": ["install", "."],
    "develop": ["install", "--editable", "."],
    "bdist_wheel": ["wheel", "--no-deps", "--wheel-dir", "dist", "."],
}


def main(arguments: list[str]) -> int:
    """The exit code of pip, or 2 for a command that there is not."""
    command, *options = arguments or ["--help"]
    if command not in COMMANDS:
        print(__doc__)
        return 0 if command in ("--help", "-h") else 2
    pip = [sys.executable, "-m", "pip", *COMMANDS[command], *options]
    return subprocess.run(pip, cwd=Path(__file__).resolve().parent, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
