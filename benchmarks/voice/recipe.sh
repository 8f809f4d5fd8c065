#!/bin/sh
# The small voice from nothing: benchmarks/voice/recipe.sh WORK
# Needs espeak-ng 1.51 and hexconv[export,audio]; about an hour of one core.
set -eu
work=$1
here=$(dirname "$0")
python=${PYTHON:-python3}
run() { "$python" "$here/$1" "$work/$2" "$work/run" --stage "$3" --peak "$4" --stop "$5"; }

"$python" "$here/corpus.py" "$work/natural" natural
"$python" "$here/corpus.py" "$work/flat" flat
run train.py natural 0:6000 1.5e-3 6000
run train.py flat 6000:8600 1e-3 6600
run train.py flat 6600:8000 8e-4 8000
"$python" "$here/ship.py" "$work/flat" "$work/run"
"$python" "$here/measure.py" "$work/flat"
"$python" "$here/measure.py" "$work/natural"
