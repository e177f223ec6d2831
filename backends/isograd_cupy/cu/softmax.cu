// The softmax family over contiguous rows of n elements, a block for each row.
#include "block.cu"

__device__ T row_max(const T* row, long long n) {
  T top = row[threadIdx.x < n ? threadIdx.x : 0];
  for (long long i = threadIdx.x + 256; i < n; i += 256) top = larger_of(top, row[i]);
  return block_max(top);
}

__device__ T row_weight(const T* row, T top, long long n) {
  T sum = T(0);
  for (long long i = threadIdx.x; i < n; i += 256) sum += exp(row[i] - top);
  return block_sum(sum);
}

extern "C" __global__ void softmax(const T* x, T* out, long long rows, long long n) {
  for (long long r = blockIdx.x; r < rows; r += gridDim.x) {
    const T* row = x + r * n;
    T top = row_max(row, n), weight = row_weight(row, top, n);
    for (long long i = threadIdx.x; i < n; i += 256) out[r * n + i] = exp(row[i] - top) / weight;
  }
}

extern "C" __global__ void log_softmax(const T* x, T* out, long long rows, long long n) {
  for (long long r = blockIdx.x; r < rows; r += gridDim.x) {
    const T* row = x + r * n;
    T top = row_max(row, n), shift = log(row_weight(row, top, n));
    for (long long i = threadIdx.x; i < n; i += 256) out[r * n + i] = (row[i] - top) - shift;
  }
}

extern "C" __global__ void softmax_grad(const T* g, const T* y, T* out, long long rows,
                                        long long n) {
  for (long long r = blockIdx.x; r < rows; r += gridDim.x) {
    T sum = T(0);
    for (long long i = threadIdx.x; i < n; i += 256) sum += g[r * n + i] * y[r * n + i];
    sum = block_sum(sum);
    for (long long i = threadIdx.x; i < n; i += 256)
      out[r * n + i] = y[r * n + i] * (g[r * n + i] - sum);
  }
}

extern "C" __global__ void log_softmax_grad(const T* g, const T* y, T* out, long long rows,
                                            long long n) {
  for (long long r = blockIdx.x; r < rows; r += gridDim.x) {
    T sum = T(0);
    for (long long i = threadIdx.x; i < n; i += 256) sum += g[r * n + i];
    sum = block_sum(sum);
    for (long long i = threadIdx.x; i < n; i += 256)
      out[r * n + i] = g[r * n + i] - exp(y[r * n + i]) * sum;
  }
}

extern "C" __global__ void logsumexp(const T* x, T* out, long long rows, long long n) {
  for (long long r = blockIdx.x; r < rows; r += gridDim.x) {
    T top = row_max(x + r * n, n);
    top = isfinite(top) ? top : T(0);
    T weight = row_weight(x + r * n, top, n);
    if (threadIdx.x == 0) out[r] = log(weight) + top;
  }
}

// A label that is ignored gives 0; the others were checked to be classes.
extern "C" __global__ void cross_entropy(const T* x, const long long* labels, T* out,
                                         long long rows, long long n, long long ignored,
                                         double smoothing) {
  for (long long r = blockIdx.x; r < rows; r += gridDim.x) {
    const T* row = x + r * n;
    T top = row_max(row, n), shift = log(row_weight(row, top, n));
    T even = T(0);
    if (smoothing != 0.0) {
      for (long long i = threadIdx.x; i < n; i += 256) even += (row[i] - top) - shift;
      even = -(block_sum(even) / (T)n);
    }
    if (threadIdx.x == 0) {
      T loss = T(0);
      if (labels[r] != ignored) {
        loss = -((row[labels[r]] - top) - shift);
        if (smoothing != 0.0) loss = (T)(1.0 - smoothing) * loss + (T)smoothing * even;
      }
      out[r] = loss;
    }
  }
}

extern "C" __global__ void cross_entropy_grad(const T* g, const T* x, const long long* labels,
                                              T* out, long long rows, long long n,
                                              long long ignored, double smoothing) {
  for (long long r = blockIdx.x; r < rows; r += gridDim.x) {
    const T* row = x + r * n;
    long long label = labels[r];
    T top = row_max(row, n), weight = row_weight(row, top, n);
    for (long long i = threadIdx.x; i < n; i += 256) {
      T p = exp(row[i] - top) / weight - (i == label ? (T)(1.0 - smoothing) : T(0));
      if (smoothing != 0.0) p -= (T)(smoothing / (double)n);
      out[r * n + i] = label == ignored ? T(0) : g[r] * p;
    }
  }
}
