// What is made of random words, with the bits of the CPU.
#include "philox.cu"

@POLYNOMIALS@

__device__ double minus_log(double t) {
  int k;
  double m = frexp(t, &k), e = -(double)k;
  if (m < @SQRT_HALF@) {
    m = m + m;
    e = e + 1.0;
  }
  double s = (m - 1.0) / (m + 1.0), p = s * s;
  return e * @LN2@ - 2.0 * (s + (s * p) * log_series(p));
}

__device__ double normal(unsigned long long word) {
  double q = ((double)(word >> 12) - 2251799813685247.5) * 2.220446049250313e-16;
  double a = fabs(q);
  if (a <= @CENTRAL_LIMIT@) {
    double r = @CENTRAL_SHIFT@ - q * q;
    return q * (central_numerator(r) / central_denominator(r));
  }
  double u = sqrt(minus_log(0.5 - a)), z;
  if (u <= @TAIL_LIMIT@) {
    u = u - @TAIL_SHIFT@;
    z = tail_numerator(u) / tail_denominator(u);
  } else {
    u = u - @FAR_SHIFT@;
    z = far_numerator(u) / far_denominator(u);
  }
  return q < 0.0 ? -z : z;
}

extern "C" __global__ void random_words(const unsigned long long* key, unsigned long long* out,
                                        long long n) {
  for (long long b = first_index(); 4 * b < n; b += index_step()) {
    unsigned long long word[4];
    philox(key, b + 1, word);
    for (int k = 0; k < 4 && 4 * b + k < n; ++k) out[4 * b + k] = word[k];
  }
}

extern "C" __global__ void random_halves(const unsigned long long* key, unsigned int* out,
                                         long long n) {
  for (long long b = first_index(); 8 * b < n; b += index_step()) {
    unsigned long long word[4];
    philox(key, b + 1, word);
#pragma unroll
    for (int k = 0; k < 8; ++k)
      if (8 * b + k < n) out[8 * b + k] = (unsigned int)(word[k >> 1] >> (k & 1) * 32);
  }
}

extern "C" __global__ void random_normal(const unsigned long long* key, double* out, long long n) {
  for (long long b = first_index(); 4 * b < n; b += index_step()) {
    unsigned long long word[4];
    philox(key, b + 1, word);
    for (int k = 0; k < 4 && 4 * b + k < n; ++k) out[4 * b + k] = normal(word[k]);
  }
}

extern "C" __global__ void random_normal_single(const unsigned long long* key, float* out,
                                                long long n) {
  for (long long b = first_index(); 4 * b < n; b += index_step()) {
    unsigned long long word[4];
    philox(key, b + 1, word);
    for (int k = 0; k < 4 && 4 * b + k < n; ++k) out[4 * b + k] = (float)normal(word[k]);
  }
}
