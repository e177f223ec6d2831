// Runs CUDA C on the CPU, for tests. One block after another; the threads of a block are fibers
// where the kernel synchronises, and a plain loop where it does not. Threads run in an order that
// the launch chooses, from one barrier to the next, so that a missing barrier shows.
#pragma once
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <utility>
#include <vector>
#include <vector_types.h>
#include <vector_functions.h>
#include <cuda_fp16.h>
#undef __global__
#undef __device__
#undef __host__
#undef __forceinline__
#undef __noinline__
#undef __launch_bounds__
#undef __constant__
#undef __shared__
#undef __align__
#undef __restrict__
#undef __grid_constant__
#define __grid_constant__
#define __global__ static
#define __device__
#define __host__
#define __forceinline__ inline
#define __noinline__
#define __launch_bounds__(...)
#define __constant__ static
// Blocks run one at a time, so a static is a block's own; its section is poisoned before each.
#define __shared__ static __attribute__((section("emu_shared")))
#define __restrict__ __restrict
#define __align__(n) __attribute__((aligned(n)))
#define __syncthreads() emu::wait(emu::AT_BLOCK)
#define __syncwarp(...) emu::wait(emu::AT_WARP)
#define __threadfence() ((void)0)
#define __threadfence_block() ((void)0)
static constexpr int warpSize = 32;

extern "C" char __start_emu_shared[] __attribute__((weak, visibility("hidden")));
extern "C" char __stop_emu_shared[] __attribute__((weak, visibility("hidden")));
extern "C" void emu_switch(void** save, void* load);
asm(R"(
.text
.type emu_switch,@function
.local emu_switch
emu_switch:
  pushq %rbp; pushq %rbx; pushq %r12; pushq %r13; pushq %r14; pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15; popq %r14; popq %r13; popq %r12; popq %rbx; popq %rbp
  ret
)");

namespace emu {

enum State : uint8_t { READY, AT_BLOCK, AT_WARP, DONE };

struct Fiber {
  void* sp;
  char* stack;
  State state;
  uint64_t published;  // what a lane offers to the others of its warp
  bool vote;
};

constexpr size_t STACK = 64 * 1024;
constexpr int LAUNCH_FAILED = 719, INVALID_CONFIGURATION = 9;

static uint3 thread_index, block_index;
static dim3 block_size, grid_size;
static std::vector<Fiber> fibers;
static std::vector<unsigned> order;
static unsigned current, count;
static bool concurrent, lenient;
static void* scheduler;
static void (*body)(void*);
static void* body_argument;
static std::vector<char> dynamic;
static char* dynamic_shared;
static char message[256];

static inline uint3 unflatten(unsigned t) {
  return {t % block_size.x, t / block_size.x % block_size.y, t / (block_size.x * block_size.y)};
}

static inline void wait(State at) {
  if (!concurrent) {
    std::fprintf(stderr, "cuda_cpu: a kernel without visible barriers reached one\n");
    std::abort();
  }
  fibers[current].state = at;
  emu_switch(&fibers[current].sp, scheduler);
}

static void enter() {
  body(body_argument);
  fibers[current].state = DONE;
  emu_switch(&fibers[current].sp, scheduler);
  std::abort();
}

static inline void prepare(Fiber& fiber) {
  if (!fiber.stack) fiber.stack = static_cast<char*>(std::aligned_alloc(64, STACK));
  auto top = (reinterpret_cast<uintptr_t>(fiber.stack) + STACK) & ~uintptr_t(15);
  void** p = reinterpret_cast<void**>(top);
  *--p = nullptr;
  *--p = reinterpret_cast<void*>(&enter);
  for (int i = 0; i < 6; ++i) *--p = nullptr;
  fiber.sp = p;
  fiber.state = READY;
}

// 0: ascending; 1: descending; otherwise a permutation drawn from the number.
static void choose_order(unsigned seed) {
  order.resize(count);
  for (unsigned i = 0; i < count; ++i) order[i] = seed == 1 ? count - 1 - i : i;
  if (seed < 2) return;
  uint32_t state = seed * 2654435761u;
  for (unsigned i = count - 1; i > 0; --i) {
    state = state * 1664525u + 1013904223u;
    std::swap(order[i], order[(state >> 8) % (i + 1)]);
  }
}

static bool fail(const char* format, unsigned a = 0, unsigned b = 0) {
  std::snprintf(message, sizeof message, format, a, b);
  return false;
}

// Let warps go on whose every living lane has arrived. Returns whether one did.
static bool release_warps() {
  bool any = false;
  for (unsigned first = 0; first < count; first += 32) {
    unsigned end = std::min(first + 32, count), arrived = 0, alive = 0;
    for (unsigned i = first; i < end; ++i) {
      arrived += fibers[i].state == AT_WARP;
      alive += fibers[i].state != DONE;
    }
    if (!arrived || arrived != alive) continue;
    for (unsigned i = first; i < end; ++i)
      if (fibers[i].state == AT_WARP) fibers[i].state = READY;
    any = true;
  }
  return any;
}

static bool run_block() {
  if (fibers.size() < count) fibers.resize(count);
  for (unsigned i = 0; i < count; ++i) prepare(fibers[i]);
  for (;;) {
    bool ran = false;
    for (unsigned i : order) {
      if (fibers[i].state != READY) continue;
      ran = true;
      current = i;
      thread_index = unflatten(i);
      emu_switch(&scheduler, fibers[i].sp);
    }
    if (release_warps() || ran) continue;
    unsigned done = 0, waiting = 0;
    for (unsigned i = 0; i < count; ++i) {
      done += fibers[i].state == DONE;
      waiting += fibers[i].state == AT_BLOCK;
    }
    if (done == count) return true;
    if (done + waiting < count)
      return fail("some lanes of a warp wait for it, others for the block or have returned");
    if (done && !lenient)
      return fail("__syncthreads reached by %u of %u threads, the others returned", waiting, count);
    for (unsigned i = 0; i < count; ++i)
      if (fibers[i].state == AT_BLOCK) fibers[i].state = READY;
  }
}

template <class T>
static inline T exchange(T value, int lane) {
  static_assert(sizeof(T) <= 8, "a lane exchanges at most 8 bytes");
  uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  unsigned me = current;
  fibers[me].published = bits;
  wait(AT_WARP);
  unsigned source = (me & ~31u) + (lane & 31);
  if (source < count) bits = fibers[source].published;
  wait(AT_WARP);
  T out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}

static inline unsigned ballot(bool vote) {
  unsigned me = current, first = me & ~31u, mask = 0;
  fibers[me].vote = vote;
  wait(AT_WARP);
  for (unsigned i = 0; i < 32 && first + i < count; ++i)
    if (fibers[first + i].state != DONE && fibers[first + i].vote) mask |= 1u << i;
  wait(AT_WARP);
  return mask;
}

static inline int lane() { return int(current & 31); }

template <class... A, size_t... I>
static inline void apply(void (*f)(A...), void** p, std::index_sequence<I...>) {
  f(*static_cast<std::remove_const_t<A>*>(p[I])...);
}

template <class... A>
static int launch(void (*f)(A...), const unsigned* grid, const unsigned* block, size_t shared,
                  void** parameters, unsigned seed, bool barriers, bool trusted) {
  struct Context {
    void (*f)(A...);
    void** p;
  } context{f, parameters};
  block_size = dim3(block[0], block[1], block[2]);
  grid_size = dim3(grid[0], grid[1], grid[2]);
  count = block[0] * block[1] * block[2];
  concurrent = barriers;
  lenient = trusted;
  message[0] = 0;
  size_t blocks = size_t(grid[0]) * grid[1] * grid[2];
  if (!count || count > 1024 || !blocks || grid[1] > 65535 || grid[2] > 65535 || shared > 232448) {
    fail("a block of %u threads, or this grid, cannot be launched", count);
    return INVALID_CONFIGURATION;
  }
  choose_order(seed);
  dynamic.resize(shared + 16);
  auto base = reinterpret_cast<uintptr_t>(dynamic.data());
  dynamic_shared = reinterpret_cast<char*>((base + 15) & ~uintptr_t(15));
  body = [](void* a) {
    auto* c = static_cast<Context*>(a);
    apply(c->f, c->p, std::index_sequence_for<A...>{});
  };
  body_argument = &context;
  for (size_t k = 0; k < blocks; ++k) {
    size_t b = seed == 1 ? blocks - 1 - k : k;
    block_index = {unsigned(b % grid[0]), unsigned(b / grid[0] % grid[1]),
                   unsigned(b / grid[0] / grid[1])};
    if (__start_emu_shared)
      std::memset(__start_emu_shared, 0xFF, size_t(__stop_emu_shared - __start_emu_shared));
    if (shared) std::memset(dynamic_shared, 0xFF, shared);
    if (concurrent) {
      if (!run_block()) return LAUNCH_FAILED;
      continue;
    }
    for (unsigned i : order) {
      current = i;
      thread_index = unflatten(i);
      body(&context);
    }
  }
  return 0;
}

template <class... A>
struct Sizes {
  int bytes[sizeof...(A) + 1];
};

template <class... A>
constexpr Sizes<A...> sizes(void (*)(A...)) {
  return {{int(sizeof(A))..., -1}};
}

template <class To, class From>
static inline To bits(From value) {
  static_assert(sizeof(To) == sizeof(From), "of one size");
  To out;
  std::memcpy(&out, &value, sizeof out);
  return out;
}

}  // namespace emu

#define threadIdx emu::thread_index
#define blockIdx emu::block_index
#define blockDim emu::block_size
#define gridDim emu::grid_size
#define __shfl_sync(mask, v, from, ...) emu::exchange(v, from)
#define __shfl_down_sync(mask, v, d, ...) \
  emu::exchange(v, emu::lane() + int(d) < 32 ? emu::lane() + int(d) : emu::lane())
#define __shfl_up_sync(mask, v, d, ...) \
  emu::exchange(v, emu::lane() >= int(d) ? emu::lane() - int(d) : emu::lane())
#define __shfl_xor_sync(mask, v, x, ...) emu::exchange(v, emu::lane() ^ int(x))
#define __ballot_sync(mask, p) emu::ballot(p)
#define __any_sync(mask, p) (emu::ballot(p) != 0)
#define __activemask() 0xffffffffu

template <class T>
static inline T atomicAdd(T* p, T v) {
  T old = *p;
  *p = old + v;
  return old;
}
template <class T>
static inline T atomicMax(T* p, T v) {
  T old = *p;
  if (v > old) *p = v;
  return old;
}
template <class T>
static inline T atomicMin(T* p, T v) {
  T old = *p;
  if (v < old) *p = v;
  return old;
}
template <class T>
static inline T atomicExch(T* p, T v) {
  return std::exchange(*p, v);
}
template <class T>
static inline T atomicCAS(T* p, T expected, T v) {
  T old = *p;
  if (old == expected) *p = v;
  return old;
}
template <class A, class B>
static inline auto min(A a, B b) {
  return a < b ? a : b;
}
template <class A, class B>
static inline auto max(A a, B b) {
  return a > b ? a : b;
}
template <class T>
static inline T __ldg(const T* p) {
  return *p;
}
static inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
static inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
static inline float __fdividef(float a, float b) { return a / b; }
static inline int __float_as_int(float f) { return emu::bits<int>(f); }
static inline float __int_as_float(int i) { return emu::bits<float>(i); }
static inline unsigned __float_as_uint(float f) { return emu::bits<unsigned>(f); }
static inline float __uint_as_float(unsigned u) { return emu::bits<float>(u); }
static inline double __longlong_as_double(long long i) { return emu::bits<double>(i); }
static inline long long __double_as_longlong(double d) { return emu::bits<long long>(d); }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return (unsigned long long)(((unsigned __int128)a * b) >> 64);
}
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline float norm(float x) { return x * x; }
static inline double norm(double x) { return x * x; }
using std::isfinite;
using std::isinf;
using std::isnan;
using std::signbit;
extern "C" __attribute__((visibility("default"), used)) const char* emu_error() {
  return emu::message;
}
