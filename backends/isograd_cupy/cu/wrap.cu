// Indices as int64 in [0, size), and where the first one is that is out of range.
extern "C" __global__ void wrap_indices(const T* indices, long long* out, long long* wrong,
                                        const Layout layout, long long low, long long size,
                                        long long n) {
  for (long long i = first_index(); i < n; i += index_step()) {
    long long at;
    locate<1>(layout, i, &at);
    long long value = (long long)indices[at];
    bool beyond = T(-1) > T(0) && value < 0;  // a uint64 that int64 does not hold
    if (beyond || value < low || value >= size) atomicMin(wrong, i);
    out[i] = value < 0 ? value + size : value;
  }
}

extern "C" __global__ void wrap_labels(const T* labels, long long* out, long long* wrong,
                                       const Layout layout, long long classes, long long ignored,
                                       long long n) {
  for (long long i = first_index(); i < n; i += index_step()) {
    long long at;
    locate<1>(layout, i, &at);
    long long value = (long long)labels[at];
    if ((value < 0 || value >= classes) && value != ignored) atomicMin(wrong, i);
    out[i] = value;
  }
}
