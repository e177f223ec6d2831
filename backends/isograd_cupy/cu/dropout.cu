// The random words are made again wherever they are wanted, and never stored.
#include "philox.cu"

extern "C" __global__ void dropout(const T* x, const unsigned long long* key, T* out,
                                   long long limit, double scale, long long n) {
  for (long long b = first_index(); 8 * b < n; b += index_step()) {
    unsigned long long word[4];
    philox(key, b + 1, word);
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      long long i = 8 * b + k, bits = (unsigned int)(word[k >> 1] >> (k & 1) * 32);
      if (i < n) narrow(out + i, bits >= limit ? widen(x[i]) * (A)scale : A(0));
    }
  }
}
