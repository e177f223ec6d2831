// The CUDA runtime over host memory, for CuPy's own runtime module: two devices whose memory is
// malloc's. Everything happens at once, in the order of the calls. Fresh memory is filled with
// 0xFF (NaN, -1) and freed memory with 0xFE; with CUDA_EMULATOR_GUARD a page that must not be
// touched follows each allocation.
#include <cuda_runtime.h>
#include <sys/mman.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <utility>
#include <vector>

#define RUNTIME extern "C" __attribute__((visibility("hidden")))
#define EMULATOR extern "C" __attribute__((visibility("default")))

struct Graph {
  std::vector<std::function<void()>> steps;
};
struct Stream {
  Graph* captured = nullptr;
};
struct Allocation {
  size_t bytes;
  int device;
};

constexpr int DEVICES = 2;
constexpr size_t PAGE = 4096;

static std::mutex lock;
static std::map<char*, Allocation> live;
static size_t total = size_t(8) << 30;
static size_t in_use[DEVICES], mallocs, synchronisations, graph_launches, copies;
static thread_local int capturing;  // CuPy's recordings leave other threads alone
static Stream legacy;
static thread_local cudaError_t last;
static thread_local int current;

static bool guarded() {
  static bool on = std::getenv("CUDA_EMULATOR_GUARD") != nullptr;
  return on;
}
static cudaError_t fail(cudaError_t error) { return last = error; }
static Stream* stream_of(void* s) {
  return reinterpret_cast<uintptr_t>(s) > 2 ? static_cast<Stream*>(s) : &legacy;
}

EMULATOR void* emulator_capture(void* s) { return capturing ? stream_of(s)->captured : nullptr; }
EMULATOR void emulator_record(void* graph, void (*step)(void*), void* argument) {
  static_cast<Graph*>(graph)->steps.push_back([=] { step(argument); });
}
EMULATOR int emulator_device() { return current; }
EMULATOR void emulator_total(size_t bytes) { total = bytes; }
EMULATOR void emulator_counts(size_t* out) {
  out[0] = in_use[0] + in_use[1];
  out[1] = mallocs;
  out[2] = synchronisations;
  out[3] = graph_launches;
  out[4] = copies;
}

// From now on everything on the device fails with this error.
static cudaError_t lost = cudaSuccess;
EMULATOR void emulator_lose(int error) { lost = cudaError_t(error); }

static cudaError_t enqueue(cudaStream_t s, std::function<void()> step) {
  if (lost) return fail(lost);
  Stream* stream = stream_of(s);
  if (capturing && stream == &legacy) return fail(cudaErrorStreamCaptureImplicit);
  if (stream->captured)
    stream->captured->steps.push_back(step);
  else
    step();
  return cudaSuccess;
}
// What a kernel did wrong is told by the first call that waits for it.
static cudaError_t late = cudaSuccess;
EMULATOR void emulator_late(int error) { late = cudaError_t(error); }
static cudaError_t unless_capturing() {
  if (lost) return fail(lost);
  if (capturing) return fail(cudaErrorStreamCaptureUnsupported);
  return fail(std::exchange(late, cudaSuccess));
}

RUNTIME const char* cudaGetErrorName(cudaError_t e) {
  static thread_local char text[32];
  switch (int(e)) {
    case 2: return "cudaErrorMemoryAllocation";
    case 700: return "cudaErrorIllegalAddress";
    case 900: return "cudaErrorStreamCaptureUnsupported";
    case 901: return "cudaErrorStreamCaptureInvalidated";
    case 906: return "cudaErrorStreamCaptureImplicit";
  }
  std::snprintf(text, sizeof text, "cudaError%d", int(e));
  return text;
}
RUNTIME const char* cudaGetErrorString(cudaError_t) { return "from the CUDA emulator"; }
RUNTIME cudaError_t cudaGetLastError() {
  auto e = last;
  last = cudaSuccess;
  return e;
}
RUNTIME cudaError_t cudaDriverGetVersion(int* v) {
  *v = 13000;
  return cudaSuccess;
}
RUNTIME cudaError_t cudaRuntimeGetVersion(int* v) {
  *v = 13000;
  return cudaSuccess;
}
RUNTIME cudaError_t cudaGetDevice(int* d) {
  *d = current;
  return cudaSuccess;
}
RUNTIME cudaError_t cudaSetDevice(int d) {
  if (d < 0 || d >= DEVICES) return fail(cudaErrorInvalidDevice);
  current = d;
  return cudaSuccess;
}
RUNTIME cudaError_t cudaGetDeviceCount(int* n) {
  *n = DEVICES;
  return cudaSuccess;
}
RUNTIME cudaError_t cudaDeviceSynchronize() {
  ++synchronisations;
  return unless_capturing();
}
RUNTIME cudaError_t cudaDeviceGetAttribute(int* v, cudaDeviceAttr a, int) {
  switch (int(a)) {
    case 1: *v = 1024; break;        // threads of a block
    case 5: *v = 2147483647; break;  // grid, x
    case 8: *v = 49152; break;       // shared memory of a block
    case 10: *v = 32; break;         // warp
    case 16: *v = 4; break;          // multiprocessors
    case 39: *v = 2048; break;       // threads of a multiprocessor
    case 75: *v = 9; break;          // compute capability, major
    case 76: *v = 0; break;          // and minor
    case 97: *v = 232448; break;     // shared memory, on request
    case 115: *v = 1; break;         // memory pools
    default: *v = 0;
  }
  return cudaSuccess;
}
RUNTIME cudaError_t cudaGetDeviceProperties(cudaDeviceProp* p, int) {
  std::memset(p, 0, sizeof *p);
  std::strcpy(p->name, "CUDA emulator on the CPU");
  p->totalGlobalMem = total;
  p->sharedMemPerBlock = 49152;
  p->warpSize = 32;
  p->maxThreadsPerBlock = 1024;
  p->major = 9;
  p->multiProcessorCount = 4;
  p->maxThreadsPerMultiProcessor = 2048;
  return cudaSuccess;
}
RUNTIME cudaError_t cudaMemGetInfo(size_t* free_bytes, size_t* all) {
  *free_bytes = total - in_use[current];
  *all = total;
  return cudaSuccess;
}

static char* allocate(size_t n) {
  if (guarded()) {
    size_t body = (n + 15) & ~size_t(15), mapped = (body + PAGE - 1) / PAGE * PAGE;
    auto* m = static_cast<char*>(mmap(nullptr, mapped + PAGE, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(m + mapped, PAGE, PROT_NONE);
    std::memset(m, 0xFF, mapped);
    return m + mapped - body;
  }
  auto* p = static_cast<char*>(std::aligned_alloc(512, (n + 511) / 512 * 512));
  if (p) std::memset(p, 0xFF, n);
  return p;
}
RUNTIME cudaError_t cudaMalloc(void** p, size_t n) {
  std::lock_guard<std::mutex> hold(lock);
  if (lost) return fail(lost);
  if (capturing) return fail(cudaErrorStreamCaptureUnsupported);
  if (in_use[current] + n > total) return fail(cudaErrorMemoryAllocation);
  auto* made = allocate(n ? n : 1);
  if (!made) return fail(cudaErrorMemoryAllocation);
  *p = made;
  live[made] = {n, current};
  in_use[current] += n;
  ++mallocs;
  return cudaSuccess;
}
RUNTIME cudaError_t cudaFree(void* p) {
  std::lock_guard<std::mutex> hold(lock);
  if (!p) return cudaSuccess;
  auto found = live.find(static_cast<char*>(p));
  if (found == live.end()) return fail(cudaErrorInvalidValue);
  in_use[found->second.device] -= found->second.bytes;
  if (!guarded()) {
    std::memset(p, 0xFE, found->second.bytes);
    std::free(p);
  }
  live.erase(found);
  return cudaSuccess;
}
RUNTIME cudaError_t cudaMallocAsync(void** p, size_t n, cudaStream_t) { return cudaMalloc(p, n); }
RUNTIME cudaError_t cudaFreeAsync(void* p, cudaStream_t) { return cudaFree(p); }
RUNTIME cudaError_t cudaHostAlloc(void** p, size_t n, unsigned) {
  *p = std::aligned_alloc(PAGE, (n + PAGE - 1) / PAGE * PAGE);
  return cudaSuccess;
}
RUNTIME cudaError_t cudaFreeHost(void* p) {
  std::free(p);
  return cudaSuccess;
}
RUNTIME cudaError_t cudaMemcpy(void* to, const void* from, size_t n, cudaMemcpyKind) {
  if (auto e = unless_capturing()) return e;
  ++copies;
  ++synchronisations;  // it returns when the copy is done
  std::memmove(to, from, n);
  return cudaSuccess;
}
RUNTIME cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t n, cudaMemcpyKind,
                                    cudaStream_t s) {
  ++copies;
  return enqueue(s, [=] { std::memmove(to, from, n); });
}
RUNTIME cudaError_t cudaMemcpyPeerAsync(void* to, int, const void* from, int, size_t n,
                                        cudaStream_t s) {
  return cudaMemcpyAsync(to, from, n, cudaMemcpyDefault, s);
}
RUNTIME cudaError_t cudaMemcpyPeer(void* to, int, const void* from, int, size_t n) {
  return cudaMemcpy(to, from, n, cudaMemcpyDefault);
}
RUNTIME cudaError_t cudaDeviceCanAccessPeer(int* can, int, int) {
  *can = 0;
  return cudaSuccess;
}
RUNTIME cudaError_t cudaMemset(void* p, int value, size_t n) {
  if (auto e = unless_capturing()) return e;
  std::memset(p, value, n);
  return cudaSuccess;
}
RUNTIME cudaError_t cudaMemsetAsync(void* p, int value, size_t n, cudaStream_t s) {
  return enqueue(s, [=] { std::memset(p, value, n); });
}
RUNTIME cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* a, const void* p) {
  std::memset(a, 0, sizeof *a);
  a->type = cudaMemoryTypeUnregistered;
  a->device = cudaInvalidDeviceId;
  std::lock_guard<std::mutex> hold(lock);
  auto* address = static_cast<char*>(const_cast<void*>(p));
  auto next = live.upper_bound(address);
  if (next == live.begin()) return cudaSuccess;
  --next;
  size_t bytes = next->second.bytes ? next->second.bytes : 1;
  if (address >= next->first + bytes) return cudaSuccess;
  a->type = cudaMemoryTypeDevice;
  a->devicePointer = address;
  a->device = next->second.device;
  return cudaSuccess;
}

RUNTIME cudaError_t cudaStreamCreate(cudaStream_t* s) {
  *s = reinterpret_cast<cudaStream_t>(new Stream);
  return cudaSuccess;
}
RUNTIME cudaError_t cudaStreamCreateWithFlags(cudaStream_t* s, unsigned) {
  return cudaStreamCreate(s);
}
RUNTIME cudaError_t cudaStreamCreateWithPriority(cudaStream_t* s, unsigned, int) {
  return cudaStreamCreate(s);
}
RUNTIME cudaError_t cudaStreamGetFlags(cudaStream_t, unsigned* flags) {
  *flags = 1;
  return cudaSuccess;
}
RUNTIME cudaError_t cudaStreamGetPriority(cudaStream_t, int* priority) {
  *priority = 0;
  return cudaSuccess;
}
RUNTIME cudaError_t cudaStreamDestroy(cudaStream_t) { return cudaSuccess; }
RUNTIME cudaError_t cudaStreamSynchronize(cudaStream_t) {
  ++synchronisations;
  return unless_capturing();
}
RUNTIME cudaError_t cudaStreamQuery(cudaStream_t) { return cudaSuccess; }
RUNTIME cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) {
  return cudaSuccess;
}
RUNTIME cudaError_t cudaStreamBeginCapture(cudaStream_t s, cudaStreamCaptureMode) {
  if (stream_of(s) == &legacy) return fail(cudaErrorStreamCaptureUnsupported);
  stream_of(s)->captured = new Graph;
  ++capturing;
  return cudaSuccess;
}
RUNTIME cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t* graph) {
  Stream* stream = stream_of(s);
  if (!stream->captured) return fail(cudaErrorStreamCaptureUnmatched);
  *graph = reinterpret_cast<cudaGraph_t>(stream->captured);
  stream->captured = nullptr;
  --capturing;
  return cudaSuccess;
}
RUNTIME cudaError_t cudaStreamIsCapturing(cudaStream_t s, cudaStreamCaptureStatus* status) {
  *status = stream_of(s)->captured ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
  if (stream_of(s) == &legacy && capturing) return fail(cudaErrorStreamCaptureImplicit);
  return cudaSuccess;
}
RUNTIME cudaError_t cudaGraphInstantiate(cudaGraphExec_t* e, cudaGraph_t g, unsigned long long) {
  *e = reinterpret_cast<cudaGraphExec_t>(g);
  return cudaSuccess;
}
RUNTIME cudaError_t cudaGraphLaunch(cudaGraphExec_t e, cudaStream_t s) {
  if (lost) return fail(lost);
  if (stream_of(s)->captured) return fail(cudaErrorStreamCaptureUnsupported);
  ++graph_launches;
  for (auto& step : reinterpret_cast<Graph*>(e)->steps) step();
  return cudaSuccess;
}
RUNTIME cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t) { return cudaSuccess; }
RUNTIME cudaError_t cudaGraphDestroy(cudaGraph_t) { return cudaSuccess; }
RUNTIME cudaError_t cudaGraphExecDestroy(cudaGraphExec_t) { return cudaSuccess; }

RUNTIME cudaError_t cudaEventCreate(cudaEvent_t* e) {
  *e = static_cast<cudaEvent_t>(std::malloc(8));
  return cudaSuccess;
}
RUNTIME cudaError_t cudaEventCreateWithFlags(cudaEvent_t* e, unsigned) {
  return cudaEventCreate(e);
}
RUNTIME cudaError_t cudaEventDestroy(cudaEvent_t e) {
  std::free(e);
  return cudaSuccess;
}
RUNTIME cudaError_t cudaEventRecord(cudaEvent_t, cudaStream_t) { return cudaSuccess; }
RUNTIME cudaError_t cudaEventQuery(cudaEvent_t) { return cudaSuccess; }
RUNTIME cudaError_t cudaEventSynchronize(cudaEvent_t) {
  ++synchronisations;
  return cudaSuccess;
}
RUNTIME cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t, cudaEvent_t) {
  *ms = 0.01f;
  return cudaSuccess;
}
