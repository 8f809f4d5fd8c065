// One model in one ONNX Runtime session, one float32 input, one float32 output.
#pragma once

#include <string>

#include "npy.h"

#ifdef HEXCONV_ORT_HEADER
#include <onnxruntime_c_api.h>
#else
#include "ort_abi.h"
#endif

namespace hexconv {

// Every member throws std::runtime_error with ONNX Runtime's message when a call fails.
class Runtime {
 public:
  // `library` is loaded unless one was linked at build time.
  Runtime(const std::string &library, const std::string &model, const std::string &graph,
          int threads);
  ~Runtime();
  Runtime(const Runtime &) = delete;
  Runtime &operator=(const Runtime &) = delete;

  Tensor run(Tensor &input) const;
  const std::string &version() const { return version_; }

 private:
  void check(OrtStatus *status) const;
  std::string only_name(bool input) const;

  const OrtApi *api_ = nullptr;
  OrtEnv *env_ = nullptr;
  OrtSession *session_ = nullptr;
  OrtMemoryInfo *memory_ = nullptr;
  std::string version_, input_, output_;
};

}  // namespace hexconv
