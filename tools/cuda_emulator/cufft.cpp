// Stands in for libcufft.so.12: plans of one to three axes in any strided layout, and their six
// transforms, in double. Every other entry point answers CUFFT_NOT_SUPPORTED.
#include <cmath>
#include <complex>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <mutex>
#include <vector>
#include "library.h"

#define CUFFT extern "C"

using Status = int;
using Handle = int;
using Wide = std::complex<double>;
enum { SUCCESS = 0, INVALID_PLAN = 1, INVALID_TYPE = 3, INVALID_VALUE = 4, INVALID_SIZE = 8 };
enum Type { R2C = 0x2a, C2R = 0x2c, C2C = 0x29, D2Z = 0x6a, Z2D = 0x6c, Z2Z = 0x69 };

// Where the elements of one side are: the lengths that its axes lie in, and two steps.
struct Side {
  std::vector<int64_t> embed;
  int64_t stride, distance;
};

struct Plan {
  std::vector<int64_t> shape;
  Side in, out;
  int type = 0, batch = 0;
  void *stream = nullptr, *area = nullptr;
  size_t size = 0;
};

static std::mutex lock;
static std::map<Handle, Plan> plans;

// exp(sign 2 pi i k / n) for all k, from angles of at most an eighth of a turn.
static std::vector<Wide> waves(int64_t n, int sign) {
  std::vector<Wide> out(n);
  for (int64_t k = 0; k < n; ++k) {
    int64_t eighth = (8 * k + n / 2) / n, rest = 8 * k - eighth * n;  // 8 k / n = eighth + rest / n
    double angle = std::acos(-1.0) / 4 * double(rest) / double(n), root = std::sqrt(0.5);
    double c = std::cos(angle), s = std::sin(angle), x = c, y = s;
    if (eighth & 1) x = root * (c - s), y = root * (c + s);
    for (int64_t quarter = eighth / 2 % 4; quarter > 0; --quarter) std::swap(x, y), x = -x;
    out[k] = {x, sign * y};
  }
  return out;
}

// Transform n numbers, `step` apart, by the prime factors of n.
static void transform(const Wide* x, int64_t step, Wide* out, int64_t n,
                      const std::vector<Wide>& turns) {
  if (n == 1) {
    *out = *x;
    return;
  }
  int64_t factor = 2;
  while (n % factor && factor * factor <= n) ++factor;
  if (n % factor) factor = n;
  int64_t part = n / factor, scale = int64_t(turns.size()) / n;
  std::vector<Wide> parts(n);
  for (int64_t p = 0; p < factor; ++p)
    transform(x + p * step, step * factor, parts.data() + p * part, part, turns);
  for (int64_t k = 0; k < n; ++k) {
    Wide sum = 0;
    for (int64_t p = 0; p < factor; ++p) {
      Wide a = parts[p * part + k % part], w = turns[p * k % n * scale];
      sum += Wide(a.real() * w.real() - a.imag() * w.imag(),
                  a.real() * w.imag() + a.imag() * w.real());
    }
    out[k] = sum;
  }
}

// Call `visit(position in a C-ordered shape, offset in the side)` for all elements of a transform.
template <class Visit>
static void each(const std::vector<int64_t>& shape, const Side& side, int64_t item, Visit visit) {
  int64_t count = 1;
  for (int64_t n : shape) count *= n;
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = i, at = 0, scale = 1;
    for (int d = int(shape.size()) - 1; d >= 0; --d) {
      at += rest % shape[d] * scale;
      rest /= shape[d];
      scale *= side.embed[d];
    }
    visit(i, item * side.distance + at * side.stride);
  }
}

static void along_axes(std::vector<Wide>& values, const std::vector<int64_t>& shape, int sign) {
  int64_t inner = 1;
  for (int d = int(shape.size()) - 1; d >= 0; --d) {
    int64_t n = shape[d];
    auto turns = waves(n, sign);
    std::vector<Wide> line(n);
    for (int64_t start = 0; start < int64_t(values.size()); ++start) {
      if (start / inner % n) continue;
      transform(values.data() + start, inner, line.data(), n, turns);
      for (int64_t k = 0; k < n; ++k) values[start + k * inner] = line[k];
    }
    inner *= n;
  }
}

template <class T>
static void run(const Plan& p, const T* in, T* out, int sign) {
  using Pair = std::complex<T>;
  bool from_real = p.type == R2C || p.type == D2Z, to_real = p.type == C2R || p.type == Z2D;
  auto half = p.shape;
  half.back() = half.back() / 2 + 1;
  int64_t count = 1;
  for (int64_t n : p.shape) count *= n;
  for (int64_t item = 0; item < p.batch; ++item) {
    std::vector<Wide> values(count);
    if (to_real) {
      // What is missing of the spectrum mirrors the rest. The imaginary parts of what mirrors itself
      // are used, where cuFFT leaves open what becomes of them; and it writes to its input.
      auto* spectrum = reinterpret_cast<Pair*>(const_cast<T*>(in));
      int64_t width = half.back();
      std::vector<Wide> given(count / p.shape.back() * width);
      each(half, p.in, item, [&](int64_t i, int64_t at) {
        given[i] = spectrum[at];
        spectrum[at] = std::numeric_limits<T>::quiet_NaN();
      });
      for (int64_t i = 0; i < count; ++i) {
        int64_t n = p.shape.back(), k = i % n, row = i / n, mirrored = 0, scale = 1;
        for (int d = int(p.shape.size()) - 2, rest = int(row); d >= 0; --d) {
          mirrored += (p.shape[d] - rest % p.shape[d]) % p.shape[d] * scale;
          rest /= p.shape[d];
          scale *= p.shape[d];
        }
        values[i] = k < width ? given[row * width + k] : std::conj(given[mirrored * width + n - k]);
      }
    } else {
      each(p.shape, p.in, item, [&](int64_t i, int64_t at) {
        values[i] = from_real ? Wide(in[at]) : Wide(reinterpret_cast<const Pair*>(in)[at]);
      });
    }
    along_axes(values, p.shape, sign);
    if (to_real) {
      each(p.shape, p.out, item, [&](int64_t i, int64_t at) {
        out[at] = T(values[i].real() + values[i].imag());
      });
      continue;
    }
    auto& made = from_real ? half : p.shape;
    each(made, p.out, item, [&](int64_t i, int64_t at) {
      int64_t width = made.back();
      reinterpret_cast<Pair*>(out)[at] = Pair(values[i / width * p.shape.back() + i % width]);
    });
  }
}

static Status execute(Handle handle, int type, void* in, void* out, int direction) {
  std::lock_guard<std::mutex> held(lock);
  auto found = plans.find(handle);
  if (found == plans.end()) return INVALID_PLAN;
  const Plan& plan = found->second;
  bool wide = type == Z2Z || type == D2Z || type == Z2D;
  if (plan.type != type) return INVALID_TYPE;
  auto places = reinterpret_cast<uintptr_t>(in) | reinterpret_cast<uintptr_t>(out);
  if (!in || !out || places % (wide ? 16 : 8)) {
    std::fprintf(stderr, "emulator: cuFFT wants arrays at multiples of a complex number's size\n");
    return INVALID_VALUE;
  }
  submit(plan.stream, [=, area = plan.area] {
    auto now = plans.find(handle);
    if (now == plans.end()) {
      std::fprintf(stderr, "emulator: a graph runs a plan of cuFFT that is gone\n");
      std::abort();
    }
    const Plan& plan = now->second;
    std::memset(area, 0xFF, plan.size);
    if (wide)
      run(plan, static_cast<const double*>(in), static_cast<double*>(out), direction);
    else
      run(plan, static_cast<const float*>(in), static_cast<float*>(out), direction);
  });
  return SUCCESS;
}

CUFFT Status cufftGetVersion(int* version) {
  *version = 12000;
  return SUCCESS;
}
CUFFT Status cufftCreate(Handle* handle) {
  std::lock_guard<std::mutex> held(lock);
  static Handle last;
  plans[*handle = ++last];
  return SUCCESS;
}
CUFFT Status cufftDestroy(Handle handle) {
  std::lock_guard<std::mutex> held(lock);
  return plans.erase(handle) ? SUCCESS : INVALID_PLAN;
}
CUFFT Status cufftSetAutoAllocation(Handle, int) { return SUCCESS; }
CUFFT Status cufftSetWorkArea(Handle handle, void* area) {
  std::lock_guard<std::mutex> held(lock);
  if (!plans.count(handle)) return INVALID_PLAN;
  plans[handle].area = area;
  return SUCCESS;
}
CUFFT Status cufftSetStream(Handle handle, void* stream) {
  std::lock_guard<std::mutex> held(lock);
  if (!plans.count(handle)) return INVALID_PLAN;
  plans[handle].stream = stream;
  return SUCCESS;
}

CUFFT Status cufftMakePlanMany(Handle handle, int rank, int* n, int* inembed, int istride,
                               int idist, int* onembed, int ostride, int odist, int type,
                               int batch, size_t* work) {
  std::lock_guard<std::mutex> held(lock);
  auto found = plans.find(handle);
  if (found == plans.end()) return INVALID_PLAN;
  if (rank < 1 || rank > 3 || batch < 1) return INVALID_SIZE;
  Plan plan;
  plan.shape.assign(n, n + rank);
  int64_t count = 1, half = n[rank - 1] / 2 + 1;
  for (int i = 0; i < rank; ++i) {
    if (n[i] < 1) return INVALID_SIZE;
    count *= n[i];
  }
  auto side = [&](int* embed, int stride, int distance, bool is_half) {
    if (embed) return Side{{embed, embed + rank}, stride, distance};
    Side tight{plan.shape, 1, is_half ? count / n[rank - 1] * half : count};
    if (is_half) tight.embed.back() = half;
    return tight;
  };
  plan.in = side(inembed, istride, idist, type == C2R || type == Z2D);
  plan.out = side(onembed, ostride, odist, type == R2C || type == D2Z);
  plan.type = type;
  plan.batch = batch;
  plan.size = *work = size_t(count) * 16;
  found->second = plan;
  return SUCCESS;
}

CUFFT Status cufftExecC2C(Handle h, void* in, void* out, int direction) {
  return execute(h, C2C, in, out, direction);
}
CUFFT Status cufftExecZ2Z(Handle h, void* in, void* out, int direction) {
  return execute(h, Z2Z, in, out, direction);
}
CUFFT Status cufftExecR2C(Handle h, void* in, void* out) { return execute(h, R2C, in, out, -1); }
CUFFT Status cufftExecD2Z(Handle h, void* in, void* out) { return execute(h, D2Z, in, out, -1); }
CUFFT Status cufftExecC2R(Handle h, void* in, void* out) { return execute(h, C2R, in, out, 1); }
CUFFT Status cufftExecZ2D(Handle h, void* in, void* out) { return execute(h, Z2D, in, out, 1); }
