extern "C" __global__ void fill(T* out, double value, const Layout layout, long long n) {
  for (long long i = first_index(); i < n; i += index_step()) {
    long long at;
    locate<1>(layout, i, &at);
    narrow(out + at, (A)value);
  }
}

extern "C" __global__ void fill_integer(T* out, long long value, const Layout layout, long long n) {
  for (long long i = first_index(); i < n; i += index_step()) {
    long long at;
    locate<1>(layout, i, &at);
    narrow(out + at, (A)value);
  }
}

extern "C" __global__ void count_up(T* out, double start, double step, long long n) {
  for (long long i = first_index(); i < n; i += index_step())
    narrow(out + i, (A)((double)i * step + start));
}

extern "C" __global__ void count_up_integer(T* out, long long start, long long step, long long n) {
  for (long long i = first_index(); i < n; i += index_step()) narrow(out + i, (A)(start + i * step));
}
