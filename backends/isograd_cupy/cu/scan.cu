// Sums or products of all elements up to each one: tiles of 256, combined by doubling distances.
__device__ __forceinline__ T combine(T a, T b) { return @COMBINE@; }

extern "C" __global__ void scan_rows(const T* x, T* out, const Layout rows, long long x_stride,
                                     long long out_stride, long long count, long long terms) {
  __shared__ T tile[2][256];
  __shared__ T carry;
  int me = threadIdx.x;
  for (long long row = blockIdx.x; row < count; row += gridDim.x) {
    long long at[2];
    locate<2>(rows, row, at);
    for (long long begin = 0; begin < terms; begin += 256) {
      long long i = begin + me;
      T value = i < terms ? x[at[0] + i * x_stride] : T(0);
      if (me == 0 && begin > 0) value = combine(carry, value);
      int from = 0;
      tile[0][me] = value;
      __syncthreads();
      for (int o = 1; o < 256; o <<= 1) {
        T own = tile[from][me];
        tile[1 - from][me] = me >= o ? combine(tile[from][me - o], own) : own;
        from = 1 - from;
        __syncthreads();
      }
      if (i < terms) out[at[1] + i * out_stride] = tile[from][me];
      if (me == 255) carry = tile[from][255];
      __syncthreads();
    }
  }
}
