# hexconv with sound, charts, the emulated DSP library's runner and the simulator's compiled loops.
#   docker build --ulimit nofile=4096 -t hexconv .
#   docker run --rm -v "$PWD:/work" -u "$(id -u):$(id -g)" hexconv convert model.onnx --samples calib/ -o build/
# For `hexconv device`, mount libhexagon_nn_skel.so of a MACE checkout and set HEXCONV_LIBRARY.
# Debian 12: its qemu 7.2 is the one that the emulated libraries are tested with.
FROM debian:bookworm-slim

RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-venv qemu-user \
 && rm -rf /var/lib/apt/lists/*

COPY . /src
RUN python3 -m venv /opt/hexconv \
 && /opt/hexconv/bin/pip install --no-cache-dir '/src[report,audio,device]' \
 && rm -rf /src

# The runner is compiled here: it takes a minute, and more open files than some containers allow.
# The simulator's loops are compiled at first use, for the CPU of that machine; to keep them, add
# -v hexconv-cache:/var/cache/hexconv.
ENV XDG_CACHE_HOME=/var/cache/hexconv PATH=/opt/hexconv/bin:$PATH LANG=C.UTF-8
RUN mkdir -m 1777 /var/cache/hexconv \
 && python3 -c 'from hexconv.device.build import runner; runner()' \
 && rm -rf /var/cache/hexconv/zig \
 && chmod -R a+rwX /var/cache/hexconv
WORKDIR /work
ENTRYPOINT ["hexconv"]
CMD ["--help"]
