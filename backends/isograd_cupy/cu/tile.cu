// Products of matrices by tiles of 64 x 64: 256 threads load 16 columns and rows of the operands at
// a time, and each makes 4 x 4 sums, in the order of the terms.
constexpr int TILE = 64, DEPTH = 16;

// `left(m, k)` and `right(k, n)` return elements of this tile. An operand whose elements are
// neighbours in memory along k is loaded so that neighbouring threads take neighbouring k.
template <bool LEFT_BY_DEPTH, bool RIGHT_BY_DEPTH, class Index, class Left, class Right>
__device__ __forceinline__ void product(A (*a)[TILE + 1], A (*b)[TILE + 1], A (*sum)[4],
                                        Index begin, Index end, Left left, Right right) {
  int me = threadIdx.x;
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j) sum[i][j] = A(0);
  for (Index start = begin; start < end; start += DEPTH) {
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      int k = LEFT_BY_DEPTH ? me & 15 : (me >> 6) + 4 * j;
      int m = LEFT_BY_DEPTH ? (me >> 4) + 16 * j : me & 63;
      a[k][m] = start + k < end ? left(m, start + k) : A(0);
      k = RIGHT_BY_DEPTH ? me & 15 : (me >> 6) + 4 * j;
      int n = RIGHT_BY_DEPTH ? (me >> 4) + 16 * j : me & 63;
      b[k][n] = start + k < end ? right(start + k, n) : A(0);
    }
    __syncthreads();
    for (int k = 0; k < DEPTH; ++k) {
#pragma unroll
      for (int i = 0; i < 4; ++i)
#pragma unroll
        for (int j = 0; j < 4; ++j)
          sum[i][j] = fma(a[k][(me & 15) + 16 * i], b[k][(me >> 4) + 16 * j], sum[i][j]);
    }
    __syncthreads();
  }
}

// Call `store(m, n, value)` for the sums of this thread.
template <class Store>
__device__ __forceinline__ void store_tile(A (*sum)[4], Store store) {
#pragma unroll
  for (int i = 0; i < 4; ++i)
#pragma unroll
    for (int j = 0; j < 4; ++j)
      store((int)(threadIdx.x & 15) + 16 * i, (int)(threadIdx.x >> 4) + 16 * j, sum[i][j]);
}
