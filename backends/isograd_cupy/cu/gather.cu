// Gathers and scatters over contiguous arrays of (leading, size, trailing) elements.
extern "C" __global__ void take(const T* x, const long long* indices, T* out, long long count,
                                long long size, long long trailing, long long n) {
  for (long long i = first_index(); i < n; i += index_step()) {
    long long t = i % trailing, pick = i / trailing % count, lead = i / trailing / count;
    out[i] = x[(lead * size + indices[pick]) * trailing + t];
  }
}

extern "C" __global__ void take_along(const T* x, const long long* indices, T* out, long long count,
                                      long long size, long long trailing, long long n) {
  for (long long i = first_index(); i < n; i += index_step()) {
    long long t = i % trailing, lead = i / trailing / count;
    out[i] = x[(lead * size + indices[i]) * trailing + t];
  }
}

// Which element of x each update meets, where every element has its own index.
extern "C" __global__ void cells_along(const long long* indices, long long* cells, long long count,
                                       long long size, long long trailing, long long n) {
  for (long long i = first_index(); i < n; i += index_step()) {
    long long t = i % trailing, lead = i / trailing / count;
    cells[i] = (lead * size + indices[i]) * trailing + t;
  }
}

// `rows` are sorted, `order` says where each was: the thread at the head of a segment adds all of
// it, in the order of the updates, so that no two threads meet.
extern "C" __global__ void add_segments(const long long* rows, const long long* order,
                                        const T* updates, T* out, long long count, long long size,
                                        long long trailing, long long n) {
  for (long long i = first_index(); i < n; i += index_step()) {
    long long t = i % trailing, p = i / trailing % count, lead = i / trailing / count;
    if (p > 0 && rows[p - 1] == rows[p]) continue;
    long long cell = (lead * size + rows[p]) * trailing + t;
    A sum = widen(out[cell]);
    for (long long q = p; q < count && rows[q] == rows[p]; ++q)
      sum = (A)(sum + widen(updates[(lead * count + order[q]) * trailing + t]));
    narrow(out + cell, sum);
  }
}

extern "C" __global__ void set_segments(const long long* rows, const long long* order,
                                        const T* updates, T* out, long long count, long long size,
                                        long long trailing, long long n) {
  for (long long i = first_index(); i < n; i += index_step()) {
    long long t = i % trailing, p = i / trailing % count, lead = i / trailing / count;
    if (p + 1 < count && rows[p + 1] == rows[p]) continue;
    out[(lead * size + rows[p]) * trailing + t] = updates[(lead * count + order[p]) * trailing + t];
  }
}
