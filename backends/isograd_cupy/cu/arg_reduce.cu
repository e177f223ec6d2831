// The index of the largest or smallest element: the first NaN, else the lowest index of the best.
__device__ __forceinline__ bool beats(T a, long long i, T b, long long j) {
  if (a != a) return b == b || i < j;
  if (b != b) return false;
  return @BETTER@ || (a == b && i < j);
}

extern "C" __global__ void arg_reduce(const T* x, long long* out, const Layout kept,
                                      long long stride, long long outputs, long long terms) {
  __shared__ T values[256];
  __shared__ long long places[256];
  int me = threadIdx.x;
  for (long long output = blockIdx.x; output < outputs; output += gridDim.x) {
    long long base, place = me < terms ? me : 0;
    locate<1>(kept, output, &base);
    T best = x[base + place * stride];
    for (long long i = me + 256; i < terms; i += 256) {
      T value = x[base + i * stride];
      if (beats(value, i, best, place)) {
        best = value;
        place = i;
      }
    }
    values[me] = best;
    places[me] = place;
    __syncthreads();
    for (int o = 128; o > 0; o >>= 1) {
      if (me < o && beats(values[me + o], places[me + o], values[me], places[me])) {
        values[me] = values[me + o];
        places[me] = places[me + o];
      }
      __syncthreads();
    }
    if (me == 0) out[output] = places[0];
    __syncthreads();
  }
}
