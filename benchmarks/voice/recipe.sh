#!/bin/sh
# The sample voice from nothing: benchmarks/voice/recipe.sh WORK
# Needs espeak-ng 1.51 and hexconv[export,audio]; about an hour and a half of an idle core.
set -eu
work=$1
here=$(dirname "$0")
python=${PYTHON:-python3}
run() {
  corpus=$1 stage=$2 peak=$3 stop=$4
  shift 4
  "$python" "$here/train.py" "$work/$corpus" "$work/run" --stage "$stage" --peak "$peak" \
    --stop "$stop" "$@"
}

"$python" "$here/corpus.py" "$work/natural" natural
"$python" "$here/corpus.py" "$work/flat" flat
run natural 0:6000 1.5e-3 6000
run flat 6000:8600 1e-3 6600
run flat 6600:8000 8e-4 8000
run flat 8000:9200 5e-4 8600 --judged
"$python" "$here/to_8_bits.py" "$work/flat" "$work/run" --steps 2600 --peak 8e-4 --sameness 1.5
"$python" "$here/ship.py" "$work/flat" "$work/run"
"$python" "$here/measure.py" "$work/flat" --dsp
"$python" "$here/measure.py" "$work/natural"
