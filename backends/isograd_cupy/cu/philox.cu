// The four words of Philox4x64-10 for a key and a counter.
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
