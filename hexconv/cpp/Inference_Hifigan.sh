#!/bin/sh
# Runs a HiFi-GAN generator in ONNX Runtime, from Python and then from C++, and compares the two.
# Builds the C++ runner first. Everything is done by `python -m hexconv bench --cpp`.
usage() {
  cat <<'TEXT'
usage: Inference_Hifigan.sh [-l O0|O1|O2|O3] [-p linux|aarch64|android]
                            [-g disable|basic|extended|all] [-m MODEL.onnx] [-i INPUT.npy]
                            [-n RUNS] [-d]
  -l  compiler optimization level (00 to 03 mean the same)     default O2
  -p  platform that the C++ program runs on                    default linux
  -g  ONNX Runtime's graph optimization                        default all
  -m  the generator            default: the sample voice that ships with hexconv
  -i  its input                default: a held-out mel of that voice
  -n  runs to average over                                     default 5
  -d  print the commands, run none
Environment: PYTHON, ONNXRUNTIME_ROOT, ONNXRUNTIME_WHEEL, ANDROID_NDK_HOME (see docs/hifigan.md)
TEXT
}

wrong() {
  echo "Inference_Hifigan.sh: $1" >&2
  usage >&2
  exit 2
}

level=O2 platform=linux graph=all
model='' input='' runs='' dry=''
while getopts l:p:g:m:i:n:dh option; do
  case $option in
    l) level=$OPTARG ;;
    p) platform=$OPTARG ;;
    g) graph=$OPTARG ;;
    m) model=$OPTARG ;;
    i) input=$OPTARG ;;
    n) runs=$OPTARG ;;
    d) dry=yes ;;
    h) usage; exit 0 ;;
    *) usage >&2; exit 2 ;;
  esac
done
shift $((OPTIND - 1))
[ $# -eq 0 ] || wrong "'$1' is not expected"
case $level in
  O[0-3]) ;;
  0[0-3]) level=O${level#0} ;;
  *) wrong "-l is O0, O1, O2 or O3, not '$level'" ;;
esac
case $platform in linux|aarch64|android) ;; *) wrong "-p is linux, aarch64 or android, not '$platform'" ;; esac
case $graph in disable|basic|extended|all) ;; *) wrong "-g is disable, basic, extended or all, not '$graph'" ;; esac

set -- bench --cpp --level "$level" --platform "$platform" --graph "$graph"
[ -z "$model" ] || set -- "$@" --model "$model"
[ -z "$input" ] || set -- "$@" --input "$input"
[ -z "$runs" ] || set -- "$@" --runs "$runs"
[ -z "$dry" ] || set -- "$@" --dry-run
exec "${PYTHON:-python3}" -m hexconv "$@"
