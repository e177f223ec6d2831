// A stable merge sort of rows: each element finds its place in the merged pair of runs.
__device__ __forceinline__ bool before(T a, T b) { return a < b || (b != b && a == a); }

extern "C" __global__ void merge_runs(const T* keys, const long long* places, T* keys_out,
                                      long long* places_out, long long rows, long long n,
                                      long long width) {
  for (long long i = first_index(); i < rows * n; i += index_step()) {
    long long row = i / n * n, at = i - row, pair = at / (2 * width) * (2 * width);
    bool left = at - pair < width;
    long long low = left ? pair + width : pair, high = left ? pair + 2 * width : pair + width;
    low = low < n ? low : n;
    high = high < n ? high : n;
    long long start = low;
    T key = keys[i];
    while (low < high) {  // elements of the other run that come before this one
      long long middle = (low + high) / 2;
      T other = keys[row + middle];
      if (left ? before(other, key) : !before(key, other))
        low = middle + 1;
      else
        high = middle;
    }
    long long target = row + pair + (at - (left ? pair : pair + width)) + (low - start);
    keys_out[target] = key;
    places_out[target] = places[i];
  }
}

extern "C" __global__ void number_rows(long long* places, long long rows, long long n) {
  for (long long i = first_index(); i < rows * n; i += index_step()) places[i] = i % n;
}
