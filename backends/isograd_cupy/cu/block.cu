// What 256 threads of a block combine, in pairs; every thread gets the result.
__device__ __forceinline__ A larger_of(A a, A b) {
  return a != a ? a : b != b ? b : a < b ? b : a;
}

__device__ A block_sum(A value) {
  __shared__ A part[256];
  part[threadIdx.x] = value;
  __syncthreads();
  for (int o = 128; o > 0; o >>= 1) {
    if (threadIdx.x < o) part[threadIdx.x] += part[threadIdx.x + o];
    __syncthreads();
  }
  A out = part[0];
  __syncthreads();
  return out;
}

__device__ A block_max(A value) {
  __shared__ A part[256];
  part[threadIdx.x] = value;
  __syncthreads();
  for (int o = 128; o > 0; o >>= 1) {
    if (threadIdx.x < o) part[threadIdx.x] = larger_of(part[threadIdx.x], part[threadIdx.x + o]);
    __syncthreads();
  }
  A out = part[0];
  __syncthreads();
  return out;
}

// The sum of term(0) to term(n - 1): each thread adds every 256th, in order.
template <class Term>
__device__ __forceinline__ A row_sum(long long n, Term term) {
  A sum = A(0);
  for (long long i = threadIdx.x; i < n; i += 256) sum += term(i);
  return block_sum(sum);
}
