// Reductions by one tree that depends on the number of terms alone: chunks of 2048 terms, in each
// of which 32 lanes combine every 32nd term in order, and are then combined in pairs. The same for
// rows (a warp for each chunk) and columns (a block for 32 neighbouring outputs).
__device__ __forceinline__ T combine(T a, T b) { return @COMBINE@; }

template <class V>
__device__ __forceinline__ V from_lane(V value, int o) {
  return __shfl_down_sync(0xffffffffu, value, o);
}
template <template <class> class Pair, class R>
__device__ __forceinline__ Pair<R> from_lane(Pair<R> z, int o) {
  R re = from_lane(z.re, o), im = from_lane(z.im, o);
  return Pair<R>(re, im);
}

extern "C" __global__ void reduce_rows(const T* x, T* out, const Layout kept, const Layout reduced,
                                       long long outputs, long long terms, long long chunks) {
  int lane = threadIdx.x & 31;
  long long pair = (long long)blockIdx.x * (blockDim.x >> 5) + (threadIdx.x >> 5);
  long long pairs = outputs * chunks, stride = (long long)gridDim.x * (blockDim.x >> 5);
  for (; pair < pairs; pair += stride) {
    long long base, at, begin = pair % chunks * 2048, end = begin + 2048;
    locate<1>(kept, pair / chunks, &base);
    end = end < terms ? end : terms;
    T value = T(0);
    if (begin + lane < end) {
      locate<1>(reduced, begin + lane, &at);
      value = x[base + at];
    }
    for (long long i = begin + lane + 32; i < end; i += 32) {
      locate<1>(reduced, i, &at);
      value = combine(value, x[base + at]);
    }
    for (int o = 16; o > 0; o >>= 1) {
      T other = from_lane(value, o);
      if (lane < o && begin + lane + o < end) value = combine(value, other);
    }
    if (lane == 0) out[pair] = value;
  }
}

extern "C" __global__ void reduce_columns(const T* x, T* out, const Layout kept,
                                          const Layout reduced, long long outputs, long long terms,
                                          long long chunks) {
  __shared__ T part[32][33];
  int lane = threadIdx.y;
  long long output = (long long)blockIdx.x * 32 + threadIdx.x, base = 0, at;
  if (output < outputs) locate<1>(kept, output, &base);
  for (long long chunk = blockIdx.y; chunk < chunks; chunk += gridDim.y) {
    long long begin = chunk * 2048, end = begin + 2048;
    end = end < terms ? end : terms;
    if (output < outputs && begin + lane < end) {
      locate<1>(reduced, begin + lane, &at);
      T value = x[base + at];
      for (long long i = begin + lane + 32; i < end; i += 32) {
        locate<1>(reduced, i, &at);
        value = combine(value, x[base + at]);
      }
      part[lane][threadIdx.x] = value;
    }
    __syncthreads();
    for (int o = 16; o > 0; o >>= 1) {
      if (output < outputs && lane < o && begin + lane + o < end)
        part[lane][threadIdx.x] = combine(part[lane][threadIdx.x], part[lane + o][threadIdx.x]);
      __syncthreads();
    }
    if (lane == 0 && output < outputs) out[output * chunks + chunk] = part[0][threadIdx.x];
    __syncthreads();
  }
}
