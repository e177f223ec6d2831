extern "C" __global__ void dropout(const T* x, const unsigned int* bits, T* out, long long limit,
                                   double scale, long long n) {
  for (long long i = first_index(); i < n; i += index_step()) {
    A value = (long long)bits[i] >= limit ? widen(x[i]) * (A)scale : A(0);
    narrow(out + i, value);
  }
}
