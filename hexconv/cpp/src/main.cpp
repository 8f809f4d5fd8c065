// hexconv_run: reads a model and an input, warms up, times the runs, writes the output.
#include <chrono>
#include <cstdio>
#include <exception>

#include "npy.h"
#include "options.h"
#include "runtime.h"

namespace {

int run(const hexconv::Options &options) {
  hexconv::Tensor input = hexconv::read_npy(options.input);
  const hexconv::Runtime runtime(options.library, options.model, options.graph, options.threads);
  std::printf("onnxruntime version: %s\n", runtime.version().c_str());
  std::printf("input tensor shape: %s\n", hexconv::shape_text(input.shape).c_str());
  for (int i = 0; i < options.warmup; ++i) runtime.run(input);
  hexconv::Tensor output;
  const auto began = std::chrono::steady_clock::now();
  for (int i = 0; i < options.runs; ++i) output = runtime.run(input);
  const std::chrono::duration<double, std::milli> spent = std::chrono::steady_clock::now() - began;
  std::printf("c++ cost time: %.3f ms (mean of %d)\n", spent.count() / options.runs, options.runs);
  std::printf("output tensor shape: %s\n", hexconv::shape_text(output.shape).c_str());
  if (!options.output.empty()) hexconv::write_npy(options.output, output);
  return 0;
}

}  // namespace

int main(int argc, char **argv) {
  try {
    return run(hexconv::parse_options(argc, argv));
  } catch (const hexconv::UsageError &error) {
    std::fprintf(stderr, "hexconv_run: %s\n%s", error.what(), hexconv::kUsage);
    return 2;
  } catch (const std::exception &error) {
    std::fprintf(stderr, "hexconv_run: %s\n", error.what());
    return 1;
  }
}
