#include "runtime.h"

#include <dlfcn.h>

#include <map>
#include <memory>
#include <stdexcept>

#include "options.h"

namespace hexconv {
namespace {

// Only slots of version 1 are called, so the oldest table will do.
constexpr uint32_t kApiVersion = 1;

const OrtApiBase *load([[maybe_unused]] const std::string &library) {
#ifdef HEXCONV_ORT_LINKED
  return OrtGetApiBase();
#else
  if (library.empty()) throw UsageError("--library is needed: no ONNX Runtime is linked in");
  void *handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle == nullptr) throw std::runtime_error(dlerror());
  using Base = const OrtApiBase *(*)();
  const auto base = reinterpret_cast<Base>(dlsym(handle, "OrtGetApiBase"));
  if (base == nullptr) throw std::runtime_error(library + " is not ONNX Runtime");
  return base();
#endif
}

GraphOptimizationLevel graph_level(const std::string &name) {
  const std::map<std::string, GraphOptimizationLevel> levels = {
      {"disable", ORT_DISABLE_ALL},
      {"basic", ORT_ENABLE_BASIC},
      {"extended", ORT_ENABLE_EXTENDED},
      {"all", ORT_ENABLE_ALL}};
  const auto found = levels.find(name);
  if (found == levels.end()) {
    throw UsageError("--graph is disable, basic, extended or all, not '" + name + "'");
  }
  return found->second;
}

}  // namespace

Runtime::Runtime(const std::string &library, const std::string &model, const std::string &graph,
                 int threads) {
  const GraphOptimizationLevel level = graph_level(graph);
  const OrtApiBase *base = load(library);
  version_ = base->GetVersionString();
  api_ = base->GetApi(kApiVersion);
  if (api_ == nullptr) {
    throw std::runtime_error("ONNX Runtime " + version_ + " has no C interface of version 1");
  }
  check(api_->CreateEnv(ORT_LOGGING_LEVEL_ERROR, "hexconv_run", &env_));
  OrtSessionOptions *made = nullptr;
  check(api_->CreateSessionOptions(&made));
  const std::unique_ptr<OrtSessionOptions, void (*)(OrtSessionOptions *)> options(
      made, api_->ReleaseSessionOptions);
  check(api_->SetSessionGraphOptimizationLevel(options.get(), level));
  check(api_->SetIntraOpNumThreads(options.get(), threads));
  check(api_->CreateSession(env_, model.c_str(), options.get(), &session_));
  check(api_->CreateCpuMemoryInfo(OrtArenaAllocator, OrtMemTypeDefault, &memory_));
  input_ = only_name(true);
  output_ = only_name(false);
}

Runtime::~Runtime() {
  if (memory_ != nullptr) api_->ReleaseMemoryInfo(memory_);
  if (session_ != nullptr) api_->ReleaseSession(session_);
  if (env_ != nullptr) api_->ReleaseEnv(env_);
}

void Runtime::check(OrtStatus *status) const {
  if (status == nullptr) return;
  const std::string message = api_->GetErrorMessage(status);
  api_->ReleaseStatus(status);
  throw std::runtime_error(message);
}

std::string Runtime::only_name(bool input) const {
  std::size_t count = 0;
  check((input ? api_->SessionGetInputCount : api_->SessionGetOutputCount)(session_, &count));
  if (count != 1) {
    throw std::runtime_error("the model has " + std::to_string(count) +
                             (input ? " inputs" : " outputs") + ", one is expected");
  }
  OrtAllocator *allocator = nullptr;
  char *name = nullptr;
  check(api_->GetAllocatorWithDefaultOptions(&allocator));
  check((input ? api_->SessionGetInputName : api_->SessionGetOutputName)(session_, 0, allocator,
                                                                         &name));
  const std::string copy = name;
  check(api_->AllocatorFree(allocator, name));
  return copy;
}

Tensor Runtime::run(Tensor &input) const {
  using Value = std::unique_ptr<OrtValue, void (*)(OrtValue *)>;
  OrtValue *raw = nullptr;
  check(api_->CreateTensorWithDataAsOrtValue(
      memory_, input.values.data(), input.values.size() * sizeof(float), input.shape.data(),
      input.shape.size(), ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &raw));
  const Value fed(raw, api_->ReleaseValue);
  const char *const inputs[] = {input_.c_str()}, *const outputs[] = {output_.c_str()};
  const OrtValue *const feeds[] = {fed.get()};
  raw = nullptr;
  check(api_->Run(session_, nullptr, inputs, feeds, 1, outputs, 1, &raw));
  const Value owned(raw, api_->ReleaseValue);

  OrtTensorTypeAndShapeInfo *described = nullptr;
  check(api_->GetTensorTypeAndShape(owned.get(), &described));
  const std::unique_ptr<OrtTensorTypeAndShapeInfo, void (*)(OrtTensorTypeAndShapeInfo *)> info(
      described, api_->ReleaseTensorTypeAndShapeInfo);
  ONNXTensorElementDataType type{};
  check(api_->GetTensorElementType(info.get(), &type));
  if (type != ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) {
    throw std::runtime_error("the model's output is not float32");
  }
  std::size_t rank = 0;
  check(api_->GetDimensionsCount(info.get(), &rank));
  Tensor output;
  output.shape.resize(rank);
  check(api_->GetDimensions(info.get(), output.shape.data(), rank));
  void *data = nullptr;
  check(api_->GetTensorMutableData(owned.get(), &data));
  const auto *values = static_cast<const float *>(data);
  output.values.assign(values, values + value_count(output.shape));
  return output;
}

}  // namespace hexconv
