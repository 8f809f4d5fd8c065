// The part of ONNX Runtime's C interface that hexconv_run calls, for where the official header is
// missing: PyPI's wheel brings the library alone.
//
// OrtApi is a table of functions whose order never changes; newer versions only append. Everything
// named here is within version 1 (slots 0 to 101), so any ONNX Runtime since 1.0 provides it.
// Slots that are not called are plain pointers that keep the others in their places; the
// static_asserts below pin those places.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

struct OrtEnv;
struct OrtStatus;
struct OrtSession;
struct OrtSessionOptions;
struct OrtRunOptions;
struct OrtValue;
struct OrtMemoryInfo;
struct OrtAllocator;
struct OrtTensorTypeAndShapeInfo;

enum OrtLoggingLevel { ORT_LOGGING_LEVEL_WARNING = 2, ORT_LOGGING_LEVEL_ERROR = 3 };
enum OrtAllocatorType { OrtArenaAllocator = 1 };
enum OrtMemType { OrtMemTypeDefault = 0 };
enum ONNXTensorElementDataType { ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT = 1 };
enum GraphOptimizationLevel {
  ORT_DISABLE_ALL = 0,
  ORT_ENABLE_BASIC = 1,
  ORT_ENABLE_EXTENDED = 2,
  ORT_ENABLE_ALL = 99
};

struct OrtApi {
  void *slots0[2];
  const char *(*GetErrorMessage)(const OrtStatus *);                                      // 2
  OrtStatus *(*CreateEnv)(OrtLoggingLevel, const char *, OrtEnv **);                      // 3
  void *slots4[3];
  OrtStatus *(*CreateSession)(const OrtEnv *, const char *, const OrtSessionOptions *,
                              OrtSession **);                                             // 7
  void *slot8;
  OrtStatus *(*Run)(OrtSession *, const OrtRunOptions *, const char *const *,
                    const OrtValue *const *, size_t, const char *const *, size_t,
                    OrtValue **);                                                         // 9
  OrtStatus *(*CreateSessionOptions)(OrtSessionOptions **);                               // 10
  void *slots11[12];
  OrtStatus *(*SetSessionGraphOptimizationLevel)(OrtSessionOptions *,
                                                 GraphOptimizationLevel);                 // 23
  OrtStatus *(*SetIntraOpNumThreads)(OrtSessionOptions *, int);                           // 24
  void *slots25[5];
  OrtStatus *(*SessionGetInputCount)(const OrtSession *, size_t *);                       // 30
  OrtStatus *(*SessionGetOutputCount)(const OrtSession *, size_t *);                      // 31
  void *slots32[4];
  OrtStatus *(*SessionGetInputName)(const OrtSession *, size_t, OrtAllocator *, char **); // 36
  OrtStatus *(*SessionGetOutputName)(const OrtSession *, size_t, OrtAllocator *, char **); // 37
  void *slots38[11];
  OrtStatus *(*CreateTensorWithDataAsOrtValue)(const OrtMemoryInfo *, void *, size_t,
                                               const int64_t *, size_t,
                                               ONNXTensorElementDataType, OrtValue **);   // 49
  void *slot50;
  OrtStatus *(*GetTensorMutableData)(OrtValue *, void **);                                // 51
  void *slots52[8];
  OrtStatus *(*GetTensorElementType)(const OrtTensorTypeAndShapeInfo *,
                                     ONNXTensorElementDataType *);                        // 60
  OrtStatus *(*GetDimensionsCount)(const OrtTensorTypeAndShapeInfo *, size_t *);          // 61
  OrtStatus *(*GetDimensions)(const OrtTensorTypeAndShapeInfo *, int64_t *, size_t);      // 62
  void *slots63[2];
  OrtStatus *(*GetTensorTypeAndShape)(const OrtValue *, OrtTensorTypeAndShapeInfo **);    // 65
  void *slots66[3];
  OrtStatus *(*CreateCpuMemoryInfo)(OrtAllocatorType, OrtMemType, OrtMemoryInfo **);      // 69
  void *slots70[6];
  OrtStatus *(*AllocatorFree)(OrtAllocator *, void *);                                    // 76
  void *slot77;
  OrtStatus *(*GetAllocatorWithDefaultOptions)(OrtAllocator **);                          // 78
  void *slots79[13];
  void (*ReleaseEnv)(OrtEnv *);                                                           // 92
  void (*ReleaseStatus)(OrtStatus *);                                                     // 93
  void (*ReleaseMemoryInfo)(OrtMemoryInfo *);                                             // 94
  void (*ReleaseSession)(OrtSession *);                                                   // 95
  void (*ReleaseValue)(OrtValue *);                                                       // 96
  void *slots97[2];
  void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo *);                     // 99
  void (*ReleaseSessionOptions)(OrtSessionOptions *);                                     // 100
};

struct OrtApiBase {
  const OrtApi *(*GetApi)(uint32_t version);
  const char *(*GetVersionString)();
};

const OrtApiBase *OrtGetApiBase();

}  // extern "C"

#define HEXCONV_SLOT(member, place) \
  static_assert(offsetof(OrtApi, member) == (place) * sizeof(void *), #member " has moved")
HEXCONV_SLOT(GetErrorMessage, 2);
HEXCONV_SLOT(CreateSession, 7);
HEXCONV_SLOT(Run, 9);
HEXCONV_SLOT(SetSessionGraphOptimizationLevel, 23);
HEXCONV_SLOT(SessionGetInputCount, 30);
HEXCONV_SLOT(SessionGetInputName, 36);
HEXCONV_SLOT(CreateTensorWithDataAsOrtValue, 49);
HEXCONV_SLOT(GetTensorMutableData, 51);
HEXCONV_SLOT(GetDimensionsCount, 61);
HEXCONV_SLOT(GetTensorTypeAndShape, 65);
HEXCONV_SLOT(CreateCpuMemoryInfo, 69);
HEXCONV_SLOT(GetAllocatorWithDefaultOptions, 78);
HEXCONV_SLOT(ReleaseEnv, 92);
HEXCONV_SLOT(ReleaseSessionOptions, 100);
#undef HEXCONV_SLOT
