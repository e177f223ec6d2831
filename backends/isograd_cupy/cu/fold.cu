// Sums of the windows that cover each element; every sum is made by one thread, in one order.
extern "C" __global__ void fold(const T* y, T* out, const Windows w, long long n) {
  long long inner = 1, outer = 1, cells = 1;
  for (int d = 0; d < w.rank; ++d) {
    inner *= w.kernel[d];
    outer *= w.count[d];
    cells *= w.size[d];
  }
  for (long long i = first_index(); i < n; i += index_step()) {
    long long lead = i / cells;
    T sum = T(0);
    for (long long k = 0; k < inner; ++k) {
      long long rest = i % cells, tap = k, window = 0, scale = 1;
      bool inside = true;
      for (int d = (int)w.rank - 1; d >= 0; --d) {
        long long place = rest % w.size[d] - tap % w.kernel[d] * w.dilation[d];
        rest /= w.size[d];
        tap /= w.kernel[d];
        long long number = place / w.stride[d];
        inside = inside && place >= 0 && number * w.stride[d] == place && number < w.count[d];
        window += number * scale;
        scale *= w.count[d];
      }
      if (inside) sum = (T)(sum + y[(lead * outer + window) * inner + k]);
    }
    out[i] = sum;
  }
}
