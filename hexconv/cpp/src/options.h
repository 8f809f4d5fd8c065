// The command line of hexconv_run.
#pragma once

#include <stdexcept>
#include <string>

namespace hexconv {

struct Options {
  std::string model, input, output, library;
  std::string graph = "all";  // disable, basic, extended, all
  int warmup = 1, runs = 5, threads = 0;
};

// A command line that cannot be: exit code 2.
struct UsageError : std::runtime_error {
  using std::runtime_error::runtime_error;
};

extern const char *const kUsage;

Options parse_options(int argc, char **argv);

}  // namespace hexconv
