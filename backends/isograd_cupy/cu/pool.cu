// Windows over the last axes of contiguous arrays. Everything is gathered: each sum is made by one
// thread, in the order of the positions in the window.
struct Extent {
  long long cells, places;
  int taps;
};

__device__ __forceinline__ Extent extent_of(const Windows& w) {
  Extent out = {1, 1, 1};
  for (int d = 0; d < w.rank; ++d) {
    out.cells *= w.size[d];
    out.places *= w.count[d];
    out.taps *= (int)w.kernel[d];
  }
  return out;
}

// The element that a place's window has at a tap, or -1 in the padding.
__device__ __forceinline__ long long seen(const Windows& w, long long place, int tap) {
  long long out = 0, scale = 1;
  bool inside = true;
  for (int d = (int)w.rank - 1; d >= 0; --d) {
    int width = (int)w.kernel[d];
    long long at = place % w.count[d] * w.stride[d] + tap % width * w.dilation[d] - w.padding[d];
    place /= w.count[d];
    tap /= width;
    inside = inside && at >= 0 && at < w.size[d];
    out += at * scale;
    scale *= w.size[d];
  }
  return inside ? out : -1;
}

// The place whose window has an element at a tap, or -1.
__device__ __forceinline__ long long seeing(const Windows& w, long long cell, int tap) {
  long long out = 0, scale = 1;
  bool inside = true;
  for (int d = (int)w.rank - 1; d >= 0; --d) {
    int width = (int)w.kernel[d];
    long long at = cell % w.size[d] + w.padding[d] - tap % width * w.dilation[d];
    long long number = at / w.stride[d];
    cell /= w.size[d];
    tap /= width;
    inside = inside && at >= 0 && number * w.stride[d] == at && number < w.count[d];
    out += number * scale;
    scale *= w.count[d];
  }
  return inside ? out : -1;
}

extern "C" __global__ void max_pool(const T* x, T* out, const Windows w, long long n) {
  Extent e = extent_of(w);
  for (long long i = first_index(); i < n; i += index_step()) {
    const T* channel = x + i / e.places * e.cells;
    A top = reinterpret<float>(0xFF800000u);  // -inf
    for (int tap = 0; tap < e.taps; ++tap) {
      long long at = seen(w, i % e.places, tap);
      if (at < 0) continue;
      A value = widen(channel[at]);
      if (value > top || value != value) top = value;
      if (top != top) break;
    }
    narrow(out + i, top);
  }
}

// The first element of each window that has the maximum, or `none` where padding is all there is.
extern "C" __global__ void max_pool_indices(const T* x, const T* tops, long long* out,
                                            const Windows w, long long none, long long n) {
  Extent e = extent_of(w);
  for (long long i = first_index(); i < n; i += index_step()) {
    const T* channel = x + i / e.places * e.cells;
    A top = widen(tops[i]);
    long long found = none;
    for (int tap = 0; tap < e.taps && found == none; ++tap) {
      long long at = seen(w, i % e.places, tap);
      if (at < 0) continue;
      A value = widen(channel[at]);
      if (value == top || value != value) {
        found = at;
        break;
      }
    }
    out[i] = found;
  }
}

// Each element gets the cotangents of the windows whose index names it.
extern "C" __global__ void max_pool_grad(const T* g, const long long* indices, T* out,
                                         const Windows w, long long n) {
  Extent e = extent_of(w);
  for (long long i = first_index(); i < n; i += index_step()) {
    long long first = i / e.cells * e.places, cell = i % e.cells;
    A sum = A(0);
    for (int tap = 0; tap < e.taps; ++tap) {
      long long at = seeing(w, cell, tap);
      if (at >= 0 && indices[first + at] == cell) sum += widen(g[first + at]);
    }
    narrow(out + i, sum);
  }
}

extern "C" __global__ void window_sum(const T* x, T* out, const Windows w, long long n) {
  Extent e = extent_of(w);
  for (long long i = first_index(); i < n; i += index_step()) {
    const T* channel = x + i / e.places * e.cells;
    A sum = A(0);
    for (int tap = 0; tap < e.taps; ++tap) {
      long long at = seen(w, i % e.places, tap);
      if (at >= 0) sum += widen(channel[at]);
    }
    narrow(out + i, sum);
  }
}

extern "C" __global__ void window_spread(const T* g, T* out, const Windows w, long long n) {
  Extent e = extent_of(w);
  for (long long i = first_index(); i < n; i += index_step()) {
    long long first = i / e.cells * e.places;
    A sum = A(0);
    for (int tap = 0; tap < e.taps; ++tap) {
      long long at = seeing(w, i % e.cells, tap);
      if (at >= 0) sum += widen(g[first + at]);
    }
    narrow(out + i, sum);
  }
}
