// Philox4x64-10 and what is made of its words, with the bits of the CPU.
__device__ void philox(const unsigned long long* key, unsigned long long counter,
                       unsigned long long* word) {
  unsigned long long k0 = key[0], k1 = key[1];
  word[0] = counter;
  word[1] = word[2] = word[3] = 0;
  for (int round = 0; round < 10; ++round) {
    unsigned long long high0 = __umul64hi(0xD2E7470EE14C6C93ULL, word[0]);
    unsigned long long low0 = 0xD2E7470EE14C6C93ULL * word[0];
    unsigned long long high1 = __umul64hi(0xCA5A826395121157ULL, word[2]);
    unsigned long long low1 = 0xCA5A826395121157ULL * word[2];
    word[0] = high1 ^ word[1] ^ k0;
    word[1] = low1;
    word[2] = high0 ^ word[3] ^ k1;
    word[3] = low0;
    k0 += 0x9E3779B97F4A7C15ULL;
    k1 += 0xBB67AE8584CAA73BULL;
  }
}

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
    for (int k = 0; k < 8 && 8 * b + k < n; ++k)
      out[8 * b + k] = (unsigned int)(word[k >> 1] >> (k & 1) * 32);
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
