// Reads and writes NumPy's .npy files of little-endian float32 in C order.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace hexconv {

struct Tensor {
  std::vector<int64_t> shape;
  std::vector<float> values;
};

// How many values a shape holds; throws std::runtime_error when that cannot be.
std::size_t value_count(const std::vector<int64_t> &shape);

// "1x80x260", as the other tools of hexconv print shapes.
std::string shape_text(const std::vector<int64_t> &shape);

// Throws std::runtime_error, naming the file, when it is not such a .npy.
Tensor read_npy(const std::string &path);
void write_npy(const std::string &path, const Tensor &tensor);

}  // namespace hexconv
