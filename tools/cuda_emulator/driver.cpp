// Stands in for libcuda.so.1: a module is a shared object that gcc made of the CUDA source, and a
// launch runs it on the CPU at once, or records it while a stream is captured.
#include <dlfcn.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <vector>

#define DRIVER extern "C" __attribute__((visibility("default")))

using Result = int;
using Launch = int (*)(const unsigned*, const unsigned*, size_t, void**, unsigned);
enum { SUCCESS = 0, INVALID_VALUE = 1, INVALID_IMAGE = 200, NOT_FOUND = 500, NOT_SUPPORTED = 801 };

struct Function {
  Launch launch;
  std::string name;
  const char* (*error)();
  std::vector<int> sizes;
};

static std::string last_error, log_text;
static unsigned long launches;
static unsigned thread_order;
static int lost;  // from now on every launch fails with this error
static void* (*capture_of)(void*);
static void (*record)(void*, void (*)(void*), void*);
static int (*current_device)();

DRIVER void emulator_bind(void* capture, void* recorder, void* device) {
  capture_of = reinterpret_cast<void* (*)(void*)>(capture);
  record = reinterpret_cast<void (*)(void*, void (*)(void*), void*)>(recorder);
  current_device = reinterpret_cast<int (*)()>(device);
}
DRIVER void emulator_order(unsigned order) { thread_order = order; }
DRIVER void emulator_lose(int error) { lost = error; }
DRIVER unsigned long emulator_launches() { return launches; }
DRIVER const char* emulator_log() { return log_text.c_str(); }
DRIVER void emulator_log_clear() { log_text.clear(); }

DRIVER Result cuGetErrorName(int e, const char** name) {
  *name = e == 719   ? "CUDA_ERROR_LAUNCH_FAILED"
          : e == 9   ? "CUDA_ERROR_INVALID_CONFIGURATION"
          : e == 500 ? "CUDA_ERROR_NOT_FOUND"
          : e == 1   ? "CUDA_ERROR_INVALID_VALUE"
          : e == 200 ? "CUDA_ERROR_INVALID_IMAGE"
          : e == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS"
                     : "CUDA_ERROR_UNKNOWN";
  return SUCCESS;
}
DRIVER Result cuGetErrorString(int e, const char** text) {
  *text = last_error.c_str();
  return SUCCESS;
}
DRIVER Result cuInit(unsigned) { return SUCCESS; }
DRIVER Result cuDevicePrimaryCtxRelease_v2(int) { return SUCCESS; }
DRIVER Result cuCtxGetCurrent(void** context) {
  *context = reinterpret_cast<void*>(1);
  return SUCCESS;
}
DRIVER Result cuCtxSetCurrent(void*) { return SUCCESS; }
DRIVER Result cuCtxGetDevice(int* device) {
  *device = current_device ? current_device() : 0;
  return SUCCESS;
}
DRIVER Result cuStreamGetCtx(void*, void** context) { return cuCtxGetCurrent(context); }

static const char MARK[] = "EMULATED:";

DRIVER Result cuModuleLoadData(void** module, const void* image) {
  auto* text = static_cast<const char*>(image);
  if (std::strncmp(text, MARK, sizeof MARK - 1)) {
    last_error = "device code that was compiled beforehand cannot run on the emulator";
    return INVALID_IMAGE;
  }
  *module = dlopen(text + sizeof MARK - 1, RTLD_NOW | RTLD_LOCAL);
  if (*module) return SUCCESS;
  last_error = dlerror();
  return INVALID_IMAGE;
}
DRIVER Result cuModuleUnload(void*) { return SUCCESS; }

DRIVER Result cuModuleGetFunction(void** function, void* module, const char* name) {
  auto text = std::string(name);
  auto launch = reinterpret_cast<Launch>(dlsym(module, ("emu_launch_" + text).c_str()));
  if (!launch) {
    last_error = "there is no kernel " + text;
    return NOT_FOUND;
  }
  auto* made = new Function{
      launch, text, reinterpret_cast<const char* (*)()>(dlsym(module, "emu_error")), {}};
  auto* sizes = static_cast<const int*>(dlsym(module, ("emu_sizes_" + text).c_str()));
  for (; sizes && *sizes >= 0; ++sizes) made->sizes.push_back(*sizes);
  *function = made;
  return SUCCESS;
}
DRIVER Result cuModuleGetGlobal_v2(void** p, size_t* bytes, void* module, const char* name) {
  *p = dlsym(module, name);
  *bytes = 0;
  return *p ? SUCCESS : NOT_FOUND;
}

struct Recorded {
  Function* function;
  unsigned grid[3], block[3];
  size_t shared;
  std::vector<std::vector<char>> arguments;
};

static std::recursive_mutex one_at_a_time;

static Result run(Function* f, const unsigned* grid, const unsigned* block, size_t shared,
                  void** arguments) {
  std::lock_guard<std::recursive_mutex> hold(one_at_a_time);
  Result status = f->launch(grid, block, shared, arguments, thread_order);
  if (status) last_error = f->name + ": " + (f->error ? f->error() : "");
  return status;
}

static void replay(void* p) {
  auto* r = static_cast<Recorded*>(p);
  std::vector<void*> arguments;
  for (auto& bytes : r->arguments) arguments.push_back(bytes.data());
  if (run(r->function, r->grid, r->block, r->shared, arguments.data()))
    std::fprintf(stderr, "emulator: %s\n", last_error.c_str());
}

DRIVER Result cuLaunchKernel(void* f, unsigned gx, unsigned gy, unsigned gz, unsigned bx,
                             unsigned by, unsigned bz, unsigned shared, void* stream,
                             void** arguments, void**) {
  if (lost) {
    last_error = "the emulated device was lost";
    return lost;
  }
  std::lock_guard<std::recursive_mutex> hold(one_at_a_time);
  auto* function = static_cast<Function*>(f);
  unsigned grid[3] = {gx, gy, gz}, block[3] = {bx, by, bz};
  ++launches;
  log_text += function->name + "\n";
  if (void* graph = capture_of ? capture_of(stream) : nullptr) {
    auto* r = new Recorded{function, {gx, gy, gz}, {bx, by, bz}, shared, {}};
    for (size_t i = 0; i < function->sizes.size(); ++i) {
      auto* bytes = static_cast<char*>(arguments[i]);
      r->arguments.emplace_back(bytes, bytes + function->sizes[i]);
    }
    record(graph, replay, r);
    return SUCCESS;
  }
  return run(function, grid, block, shared, arguments);
}

DRIVER Result cuFuncGetAttribute(int* value, int attribute, void*) {
  *value = attribute == 0 ? 1024 : 0;  // 0: most threads of a block
  return SUCCESS;
}
DRIVER Result cuFuncSetAttribute(void*, int, int) { return SUCCESS; }
DRIVER Result cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, void*, int, size_t) {
  *blocks = 2;
  return SUCCESS;
}
DRIVER Result cuOccupancyMaxPotentialBlockSize(int* grid, int* block, void*, void*, size_t, int) {
  *grid = 8;
  *block = 256;
  return SUCCESS;
}
DRIVER Result cuDriverGetVersion(int* version) {
  *version = 13000;
  return SUCCESS;
}
DRIVER Result cuDeviceGetCount(int* count) {
  *count = 2;
  return SUCCESS;
}
DRIVER Result cuDeviceGet(int* device, int ordinal) {
  *device = ordinal;
  return SUCCESS;
}
DRIVER Result cuDeviceGetAttribute(int* value, int attribute, int) {
  *value = attribute == 75 ? 9 : 0;  // 75: the major part of the compute capability
  return SUCCESS;
}
DRIVER Result cuGetProcAddress_v2(const char* name, void** p, int, unsigned long, int* status) {
  *p = dlsym(dlopen("libcuda.so.1", RTLD_NOLOAD | RTLD_NOW), name);
  if (status) *status = *p ? 0 : 1;
  return *p ? SUCCESS : NOT_FOUND;
}
DRIVER Result cuGetExportTable(void** table, const void*) {
  *table = nullptr;
  return INVALID_VALUE;
}

#define MISSING(name) \
  DRIVER Result name() { return NOT_SUPPORTED; }
MISSING(cuLaunchCooperativeKernel)
MISSING(cuCtxCreate_v2)
MISSING(cuCtxDestroy_v2)
MISSING(cuLinkCreate_v2)
MISSING(cuLinkAddData_v2)
MISSING(cuLinkAddFile_v2)
MISSING(cuLinkComplete)
MISSING(cuLinkDestroy)
MISSING(cuModuleLoad)
