// Indices as int64 in [0, size), and where the first one is that is out of range.
extern "C" __global__ void wrap_indices(const T* indices, long long* out, long long* wrong,
                                        const Layout layout, long long low, long long size,
                                        long long n) {
  for (long long i = first_index(); i < n; i += index_step()) {
    long long at;
    locate<1>(layout, i, &at);
    long long value = (long long)indices[at];
    bool beyond = T(-1) > T(0) && value < 0;  // a uint64 that int64 does not hold
    bool is_wrong = beyond || value < low || value >= size;
    if (is_wrong) atomicMin(wrong, i);
    // A program goes on to its end before the error is raised, so its reads must stay inside.
    out[i] = is_wrong ? 0 : value < 0 ? value + size : value;
  }
}

extern "C" __global__ void wrap_labels(const T* labels, long long* out, long long* wrong,
                                       const Layout layout, long long classes, long long ignored,
                                       long long n) {
  for (long long i = first_index(); i < n; i += index_step()) {
    long long at;
    locate<1>(layout, i, &at);
    long long value = (long long)labels[at];
    bool is_wrong = (value < 0 || value >= classes) && value != ignored;
    if (is_wrong) atomicMin(wrong, i);
    out[i] = is_wrong ? 0 : value;
  }
}
