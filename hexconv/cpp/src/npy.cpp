#include "npy.h"

#include <cstring>
#include <fstream>
#include <limits>
#include <regex>
#include <sstream>
#include <stdexcept>

namespace hexconv {
namespace {

constexpr char kMagic[] = "\x93NUMPY";
constexpr std::size_t kMagicSize = 6;
constexpr std::size_t kAlignment = 64;

[[noreturn]] void fail(const std::string &path, const std::string &why) {
  throw std::runtime_error(path + ": " + why);
}

std::size_t header_size(std::ifstream &file, const std::string &path) {
  char start[kMagicSize + 2];
  if (!file.read(start, sizeof start) || std::memcmp(start, kMagic, kMagicSize) != 0) {
    fail(path, "this is not a .npy file");
  }
  const std::size_t width = start[kMagicSize] == 1 ? 2 : 4;
  unsigned char bytes[4] = {};
  if (!file.read(reinterpret_cast<char *>(bytes), static_cast<std::streamsize>(width))) {
    fail(path, "the .npy header is cut short");
  }
  std::size_t size = 0;
  for (std::size_t i = 0; i < width; ++i) size |= std::size_t{bytes[i]} << (8 * i);
  if (size > 65536) fail(path, "the .npy header is longer than 65536 bytes");
  return size;
}

std::vector<int64_t> parse_shape(const std::string &header, const std::string &path) {
  std::smatch found;
  if (!std::regex_search(header, found, std::regex(R"('shape':\s*\(([0-9, ]*)\))"))) {
    fail(path, "the .npy header has no shape");
  }
  std::vector<int64_t> shape;
  std::stringstream list(found[1].str());
  for (std::string part; std::getline(list, part, ',');) {
    if (part.find_first_not_of(' ') == std::string::npos) continue;
    try {
      shape.push_back(std::stoll(part));
    } catch (const std::out_of_range &) {
      fail(path, "a size in the .npy header is too large");
    }
  }
  return shape;
}

}  // namespace

std::size_t value_count(const std::vector<int64_t> &shape) {
  std::size_t count = 1;
  for (const int64_t size : shape) {
    const auto limit = std::numeric_limits<std::size_t>::max() / sizeof(float);
    if (size < 0) throw std::runtime_error("a size is negative");
    if (size > 0 && count > limit / static_cast<std::size_t>(size)) {
      throw std::runtime_error("shape " + shape_text(shape) + " is too large");
    }
    count *= static_cast<std::size_t>(size);
  }
  return count;
}

std::string shape_text(const std::vector<int64_t> &shape) {
  std::string text;
  for (const int64_t size : shape) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text;
}

Tensor read_npy(const std::string &path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) fail(path, "the file cannot be opened");
  std::string header(header_size(file, path), '\0');
  if (!file.read(header.data(), static_cast<std::streamsize>(header.size()))) {
    fail(path, "the .npy header is cut short");
  }
  if (header.find("'<f4'") == std::string::npos) fail(path, "the values are not float32");
  if (header.find("'fortran_order': False") == std::string::npos) {
    fail(path, "the values are in Fortran order");
  }
  Tensor tensor{parse_shape(header, path), {}};
  const std::size_t count = value_count(tensor.shape);
  const auto first = file.tellg();
  file.seekg(0, std::ios::end);
  const auto bytes = static_cast<std::size_t>(file.tellg() - first);
  if (bytes != count * sizeof(float)) {
    fail(path, std::to_string(bytes) + " bytes of values do not make " +
                     shape_text(tensor.shape) + " of float32");
  }
  file.seekg(first);
  tensor.values.resize(count);
  file.read(reinterpret_cast<char *>(tensor.values.data()), static_cast<std::streamsize>(bytes));
  return tensor;
}

void write_npy(const std::string &path, const Tensor &tensor) {
  std::string sizes;
  for (const int64_t size : tensor.shape) sizes += std::to_string(size) + ", ";
  std::string header = "{'descr': '<f4', 'fortran_order': False, 'shape': (" + sizes + "), }";
  const std::size_t fixed = kMagicSize + 4;
  const std::size_t whole = (fixed + header.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  header.resize(whole - fixed - 1, ' ');
  header += '\n';
  std::ofstream file(path, std::ios::binary);
  file.write(kMagic, kMagicSize);
  const char rest[4] = {1, 0, static_cast<char>(header.size() & 0xff),
                        static_cast<char>(header.size() >> 8)};
  file.write(rest, sizeof rest);
  file << header;
  file.write(reinterpret_cast<const char *>(tensor.values.data()),
             static_cast<std::streamsize>(tensor.values.size() * sizeof(float)));
  if (!file.flush()) fail(path, "the file cannot be written");
}

}  // namespace hexconv
