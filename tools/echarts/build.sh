#!/usr/bin/env bash
# The charts of the HTML report: the parts of Apache ECharts that it uses, in one file.
# Needs npm; the versions are pinned, and the result is hexconv/report/page/echarts.min.js.
set -euo pipefail
cd "$(dirname "$0")"
scratch="$(mktemp -d)"
cp entry.js "$scratch"
(cd "$scratch" && npm init -y >/dev/null && npm install --silent echarts@6.1.0 esbuild@0.28.2)
(cd "$scratch" && npx esbuild entry.js --bundle --minify --format=iife --global-name=echarts \
  --legal-comments=none --charset=ascii --target=es2019 --outfile=echarts.min.js)
cp "$scratch/echarts.min.js" ../../hexconv/report/page/echarts.min.js
rm -rf "$scratch"
