// Convolution and its gradients over @RANK@ axes: for each group a product of matrices whose
// elements are read where they are, so that no columns are ever written.
#include "tile.cu"

constexpr int RANK = @RANK@;

__device__ __forceinline__ long long volume(const long long* lengths) {
  long long out = 1;
#pragma unroll
  for (int d = 0; d < RANK; ++d) out *= lengths[d];
  return out;
}

// The element of a channel that a place's window has at a tap, or -1 in the padding.
__device__ __forceinline__ long long seen(const Windows& w, unsigned place, unsigned tap) {
  long long out = 0, scale = 1;
  bool inside = true;
#pragma unroll
  for (int d = RANK - 1; d >= 0; --d) {
    unsigned count = (unsigned)w.count[d], width = (unsigned)w.kernel[d];
    long long at = place % count * w.stride[d] + tap % width * w.dilation[d] - w.padding[d];
    place /= count;
    tap /= width;
    inside = inside && at >= 0 && at < w.size[d];
    out += at * scale;
    scale *= w.size[d];
  }
  return inside ? out : -1;
}

// The place whose window has an element of a channel at a tap, or -1.
__device__ __forceinline__ long long seeing(const Windows& w, unsigned cell, unsigned tap) {
  long long out = 0, scale = 1;
  bool inside = true;
#pragma unroll
  for (int d = RANK - 1; d >= 0; --d) {
    unsigned size = (unsigned)w.size[d], width = (unsigned)w.kernel[d];
    long long at = cell % size + w.padding[d] - tap % width * w.dilation[d];
    long long number = at / w.stride[d];
    cell /= size;
    tap /= width;
    inside = inside && at >= 0 && number * w.stride[d] == at && number < w.count[d];
    out += number * scale;
    scale *= w.count[d];
  }
  return inside ? out : -1;
}

// Rows are places of all examples, columns are output channels, terms are taps of input channels.
extern "C" __global__ void conv(const T* x, const T* w, T* out, const Windows windows,
                                long long batch, int groups, int inputs, int outputs) {
  __shared__ A a[DEPTH][TILE + 1], b[DEPTH][TILE + 1];
  const long long places = volume(windows.count), cells = volume(windows.size);
  const unsigned taps = (unsigned)volume(windows.kernel), terms = inputs * taps;
  const long long row = (long long)blockIdx.x * TILE, column = (long long)blockIdx.y * TILE;
  A sum[4][4];
  for (int g = blockIdx.z; g < groups; g += gridDim.z) {
    product<false, true>(
        a, b, sum, 0u, terms,
        [&](int m, unsigned k) {
          long long example = (row + m) / places, place = (row + m) % places;
          if (example >= batch) return A(0);
          long long at = seen(windows, (unsigned)place, k % taps);
          long long channel = (example * groups + g) * inputs + k / taps;
          return at < 0 ? A(0) : (A)widen(x[channel * cells + at]);
        },
        [&](unsigned k, int n) {
          if (column + n >= outputs) return A(0);
          return (A)widen(w[((long long)g * outputs + column + n) * terms + k]);
        });
    store_tile(sum, [&](int m, int n, A value) {
      long long example = (row + m) / places, place = (row + m) % places;
      if (example < batch && column + n < outputs)
        narrow(out + ((example * groups + g) * outputs + column + n) * places + place, value);
    });
  }
}

// Rows are elements of all examples, columns are input channels, terms are taps of output channels.
extern "C" __global__ void conv_input_grad(const T* y, const T* w, T* out, const Windows windows,
                                           long long batch, int groups, int inputs, int outputs) {
  __shared__ A a[DEPTH][TILE + 1], b[DEPTH][TILE + 1];
  const long long places = volume(windows.count), cells = volume(windows.size);
  const unsigned taps = (unsigned)volume(windows.kernel), terms = outputs * taps;
  const long long row = (long long)blockIdx.x * TILE, column = (long long)blockIdx.y * TILE;
  A sum[4][4];
  for (int g = blockIdx.z; g < groups; g += gridDim.z) {
    product<false, true>(
        a, b, sum, 0u, terms,
        [&](int m, unsigned k) {
          long long example = (row + m) / cells, cell = (row + m) % cells;
          if (example >= batch) return A(0);
          long long at = seeing(windows, (unsigned)cell, k % taps);
          long long channel = (example * groups + g) * outputs + k / taps;
          return at < 0 ? A(0) : (A)widen(y[channel * places + at]);
        },
        [&](unsigned k, int n) {
          if (column + n >= inputs) return A(0);
          long long channel = (long long)g * outputs + k / taps;
          return (A)widen(w[(channel * inputs + column + n) * taps + k % taps]);
        });
    store_tile(sum, [&](int m, int n, A value) {
      long long example = (row + m) / cells, cell = (row + m) % cells;
      if (example < batch && column + n < inputs)
        narrow(out + ((example * groups + g) * inputs + column + n) * cells + cell, value);
    });
  }
}

// Rows are output channels, columns are taps of input channels, terms are places of all examples;
// each part of the terms has a result of its own, and blockIdx.z counts parts of groups.
extern "C" __global__ void conv_weight_grad(const T* x, const T* y, A* out, const Windows windows,
                                            long long batch, int groups, int inputs, int outputs,
                                            long long part, int parts) {
  __shared__ A a[DEPTH][TILE + 1], b[DEPTH][TILE + 1];
  const long long places = volume(windows.count), cells = volume(windows.size);
  const long long terms = batch * places;
  const unsigned taps = (unsigned)volume(windows.kernel);
  const long long row = (long long)blockIdx.x * TILE, column = (long long)blockIdx.y * TILE;
  const long long columns = (long long)inputs * taps;
  A sum[4][4];
  for (long long z = blockIdx.z; z < (long long)groups * parts; z += gridDim.z) {
    long long g = z / parts, first = z % parts * part, last = first + part;
    product<true, true>(
        a, b, sum, first, last < terms ? last : terms,
        [&](int m, long long k) {
          if (row + m >= outputs) return A(0);
          long long channel = (k / places * groups + g) * outputs + row + m;
          return (A)widen(y[channel * places + k % places]);
        },
        [&](long long k, int n) {
          if (column + n >= columns) return A(0);
          unsigned which = (unsigned)(column + n);
          long long at = seen(windows, (unsigned)(k % places), which % taps);
          long long channel = (k / places * groups + g) * inputs + which / taps;
          return at < 0 ? A(0) : (A)widen(x[channel * cells + at]);
        });
    store_tile(sum, [&](int m, int n, A value) {
      long long to = (z % parts * groups + g) * outputs + row + m;
      if (row + m < outputs && column + n < columns) out[to * columns + column + n] = value;
    });
  }
}
