// Matrix products of integers: one thread for each element of the result.
extern "C" __global__ void matmul(const T* x, const T* y, T* out, long long rows, long long inner,
                                  long long columns, long long n) {
  for (long long i = first_index(); i < n; i += index_step()) {
    long long column = i % columns, row = i / columns % rows, batch = i / columns / rows;
    T sum = T(0);
    for (long long k = 0; k < inner; ++k)
      sum = (T)(sum + x[(batch * rows + row) * inner + k] * y[(batch * inner + k) * columns + column]);
    out[i] = sum;
  }
}
