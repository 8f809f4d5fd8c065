#include "options.h"

#include <map>

namespace hexconv {

const char *const kUsage =
    "hexconv_run --model MODEL.onnx --input X.npy [--output Y.npy]\n"
    "            [--graph disable|basic|extended|all] [--warmup N] [--runs N] [--threads N]\n"
    "            [--library libonnxruntime.so]\n";

namespace {

int number(const std::string &name, const std::string &text, int least) {
  try {
    std::size_t used = 0;
    const int value = std::stoi(text, &used);
    if (used == text.size() && value >= least) return value;
  } catch (const std::logic_error &) {
    // Not a number at all: the error below says so.
  }
  throw UsageError(name + " needs a number of at least " + std::to_string(least) + ", not '" +
                   text + "'");
}

}  // namespace

Options parse_options(int argc, char **argv) {
  Options options;
  const std::map<std::string, std::string *> texts = {{"--model", &options.model},
                                                      {"--input", &options.input},
                                                      {"--output", &options.output},
                                                      {"--library", &options.library},
                                                      {"--graph", &options.graph}};
  const std::map<std::string, std::pair<int *, int>> numbers = {
      {"--warmup", {&options.warmup, 0}},
      {"--runs", {&options.runs, 1}},
      {"--threads", {&options.threads, 0}}};
  for (int i = 1; i < argc; i += 2) {
    const std::string name = argv[i];
    if (i + 1 >= argc) throw UsageError(name + " needs a value");
    if (const auto text = texts.find(name); text != texts.end()) {
      *text->second = argv[i + 1];
    } else if (const auto count = numbers.find(name); count != numbers.end()) {
      *count->second.first = number(name, argv[i + 1], count->second.second);
    } else {
      throw UsageError("there is no option '" + name + "'");
    }
  }
  if (options.model.empty() || options.input.empty()) {
    throw UsageError("--model and --input are needed");
  }
  return options;
}

}  // namespace hexconv
