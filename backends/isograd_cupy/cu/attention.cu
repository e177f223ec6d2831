// Attention by tiles of 32 rows (queries) x 32 columns (keys), of whose scores nothing is kept: the
// derivatives make them again from each row's maximum and sum. M is the type of the mask. 256
// threads; a warp has a column in each lane and every eighth row. Each sum is made in one order.
struct Attention {
  long long rows, columns, inner, outer;  // L, S, E, D
  // Elements from one row, or column, to the next and from one of its elements to the next.
  long long q[2], k[2], v[2], mask[2];
  double scale;
  long long causal, masked;
};

constexpr int SIDE = 32, WIDE = 64;
constexpr unsigned ALL = 0xffffffffu;

__device__ __forceinline__ A least() { return reinterpret<float>(0xFF800000u); }

__device__ __forceinline__ A with_mask(A score, bool seen) { return seen ? score : least(); }

__device__ __forceinline__ A with_mask(A score, T added) { return score + (A)widen(added); }

__device__ __forceinline__ A larger_of(A a, A b) {
  return a != a ? a : b != b ? b : a < b ? b : a;
}

__device__ __forceinline__ A lane_sum(A value) {
  for (int o = 16; o > 0; o >>= 1) value += __shfl_xor_sync(ALL, value, o);
  return value;
}

__device__ __forceinline__ A lane_max(A value) {
  for (int o = 16; o > 0; o >>= 1) value = larger_of(value, __shfl_xor_sync(ALL, value, o));
  return value;
}

// Fill a tile: element (i, j) is `at(i, j)`.
template <int COLUMNS, class At>
__device__ __forceinline__ void fill_tile(A (*tile)[COLUMNS + 1], At at) {
#pragma unroll
  for (int n = 0; n < SIDE * COLUMNS / 256; ++n) {
    int i = n * 256 + threadIdx.x;
    tile[i / COLUMNS][i % COLUMNS] = at(i / COLUMNS, i % COLUMNS);
  }
}

// dot[i] is the sum of x(row, e) * y(column, e) for row `warp + 8 * i` and column `lane`.
template <class X, class Y>
__device__ __forceinline__ void dots(A (*a)[SIDE + 1], A (*b)[SIDE + 1], A* dot, long long terms,
                                     X x, Y y) {
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
#pragma unroll
  for (int i = 0; i < 4; ++i) dot[i] = A(0);
  for (long long e = 0; e < terms; e += SIDE) {
    fill_tile<SIDE>(a, [&](int i, int j) { return e + j < terms ? x(i, e + j) : A(0); });
    fill_tile<SIDE>(b, [&](int i, int j) { return e + j < terms ? y(i, e + j) : A(0); });
    __syncthreads();
    for (int j = 0; j < SIDE; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i) dot[i] = fma(a[warp + 8 * i][j], b[lane][j], dot[i]);
    __syncthreads();
  }
}

// sum[n] += the sum over j of weights(row, j) * values[j][column], eight (row, column) per thread.
template <class Weight>
__device__ __forceinline__ void add_products(A* sum, A (*values)[WIDE + 1], Weight weight) {
  int column = threadIdx.x & 63, first = threadIdx.x >> 6;
  for (int j = 0; j < SIDE; ++j)
#pragma unroll
    for (int n = 0; n < 8; ++n)
      sum[n] = fma(weight(first + 4 * n, j), values[j][column], sum[n]);
}

// One batch entry's arrays.
struct Entry {
  const T *q, *k, *v;
  const M* mask;
};

__device__ __forceinline__ Entry entry_of(const T* q, const T* k, const T* v, const M* mask,
                                          const Layout& batch, long long number) {
  long long at[4];
  locate<4>(batch, number, at);
  return {q + at[0], k + at[1], v + at[2], mask + at[3]};
}

// The scores of a tile, as `dots`; what a row does not see is -inf.
__device__ __forceinline__ void scores(A (*a)[SIDE + 1], A (*b)[SIDE + 1], A* score,
                                       const Attention& t, const Entry& in, long long row,
                                       long long column) {
  dots(
      a, b, score, t.inner,
      [&](int i, long long e) {
        if (row + i >= t.rows) return A(0);
        return (A)widen(in.q[(row + i) * t.q[0] + e * t.q[1]]) * (A)t.scale;
      },
      [&](int i, long long e) {
        return column + i < t.columns ? (A)widen(in.k[(column + i) * t.k[0] + e * t.k[1]]) : A(0);
      });
  long long c = column + (threadIdx.x & 31);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    long long r = row + (threadIdx.x >> 5) + 8 * i;
    if (r >= t.rows || c >= t.columns || (t.causal && c > r)) {
      score[i] = least();
    } else if (t.masked) {
      score[i] = with_mask(score[i], in.mask[r * t.mask[0] + c * t.mask[1]]);
    }
  }
}

// The end of the columns that the rows of a tile see.
__device__ __forceinline__ long long end_of(const Attention& t, long long row) {
  return t.causal && row + SIDE < t.columns ? row + SIDE : t.columns;
}

extern "C" __global__ void attention(const T* q, const T* k, const T* v, const M* mask, T* out,
                                     const Layout batch, const Attention t, long long entries) {
  __shared__ A a[SIDE][SIDE + 1], b[SIDE][SIDE + 1], values[SIDE][WIDE + 1];
  __shared__ A factors[SIDE], totals[SIDE];
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  long long row = (long long)blockIdx.x * SIDE, first = (long long)blockIdx.y * WIDE;
  for (long long entry = blockIdx.z; entry < entries; entry += gridDim.z) {
    Entry in = entry_of(q, k, v, mask, batch, entry);
    A top[4], total[4], sum[8];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      top[i] = least();
      total[i] = A(0);
    }
#pragma unroll
    for (int n = 0; n < 8; ++n) sum[n] = A(0);
    for (long long column = 0; column < end_of(t, row); column += SIDE) {
      A score[4];
      scores(a, b, score, t, in, row, column);
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        A higher = larger_of(top[i], lane_max(score[i]));
        bool nothing = higher == least();
        A weight = nothing ? A(0) : exp(score[i] - higher);
        A factor = nothing ? A(1) : exp(top[i] - higher);
        total[i] = total[i] * factor + lane_sum(weight);
        top[i] = higher;
        a[warp + 8 * i][lane] = weight;
        if (lane == 0) factors[warp + 8 * i] = factor;
      }
      fill_tile<WIDE>(values, [&](int i, int j) {
        bool inside = column + i < t.columns && first + j < t.outer;
        return inside ? (A)widen(in.v[(column + i) * t.v[0] + (first + j) * t.v[1]]) : A(0);
      });
      __syncthreads();
#pragma unroll
      for (int n = 0; n < 8; ++n) sum[n] = sum[n] * factors[(threadIdx.x >> 6) + 4 * n];
      add_products(sum, values, [&](int i, int j) { return a[i][j]; });
      __syncthreads();
    }
#pragma unroll
    for (int i = 0; i < 4; ++i)
      if (lane == 0) totals[warp + 8 * i] = top[i] == least() ? A(1) : total[i];
    __syncthreads();
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      int i = (threadIdx.x >> 6) + 4 * n;
      long long r = row + i, d = first + (threadIdx.x & 63);
      if (r < t.rows && d < t.outer)
        narrow(out + (entry * t.rows + r) * t.outer + d, sum[n] / totals[i]);
    }
    __syncthreads();
  }
}

// For each row its maximum, its sum, and the mean of its weights' cotangents, for the derivatives.
extern "C" __global__ void attention_rows(const T* q, const T* k, const T* v, const M* mask,
                                          const T* g, A* tops, A* totals, A* means,
                                          const Layout batch, const Attention t,
                                          long long entries) {
  __shared__ A a[SIDE][SIDE + 1], b[SIDE][SIDE + 1];
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
  long long row = (long long)blockIdx.x * SIDE;
  for (long long entry = blockIdx.z; entry < entries; entry += gridDim.z) {
    Entry in = entry_of(q, k, v, mask, batch, entry);
    const T* seed = g + entry * t.rows * t.outer;
    A top[4], total[4], mean[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      top[i] = least();
      total[i] = mean[i] = A(0);
    }
    for (long long column = 0; column < end_of(t, row); column += SIDE) {
      A score[4], ct[4];
      scores(a, b, score, t, in, row, column);
      dots(
          a, b, ct, t.outer,
          [&](int i, long long d) {
            return row + i < t.rows ? (A)widen(seed[(row + i) * t.outer + d]) : A(0);
          },
          [&](int i, long long d) {
            if (column + i >= t.columns) return A(0);
            return (A)widen(in.v[(column + i) * t.v[0] + d * t.v[1]]);
          });
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        A higher = larger_of(top[i], lane_max(score[i]));
        bool nothing = higher == least();
        A weight = nothing ? A(0) : exp(score[i] - higher);
        A factor = nothing ? A(1) : exp(top[i] - higher);
        total[i] = total[i] * factor + lane_sum(weight);
        mean[i] = mean[i] * factor + lane_sum(weight * ct[i]);
        top[i] = higher;
      }
    }
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      long long r = row + warp + 8 * i, to = entry * t.rows + r;
      if (lane == 0 && r < t.rows) {
        A whole = top[i] == least() ? A(1) : total[i];
        tops[to] = top[i];
        totals[to] = whole;
        means[to] = mean[i] / whole;
      }
    }
  }
}

// The weights of a tile go to `p`, the cotangents of its scores to `ds`.
__device__ __forceinline__ void weights(A (*p)[SIDE + 1], A (*ds)[SIDE + 1], const Attention& t,
                                        const Entry& in, const T* seed, const A* tops,
                                        const A* totals, const A* means, long long row,
                                        long long column) {
  A score[4], ct[4];
  scores(p, ds, score, t, in, row, column);
  dots(
      p, ds, ct, t.outer,
      [&](int i, long long d) {
        return row + i < t.rows ? (A)widen(seed[(row + i) * t.outer + d]) : A(0);
      },
      [&](int i, long long d) {
        if (column + i >= t.columns) return A(0);
        return (A)widen(in.v[(column + i) * t.v[0] + d * t.v[1]]);
      });
  int lane = threadIdx.x & 31, warp = threadIdx.x >> 5;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    long long r = row + warp + 8 * i;
    A weight = A(0), mean = A(0);
    if (r < t.rows && tops[r] != least()) {
      weight = exp(score[i] - tops[r]) / totals[r];
      mean = means[r];
    }
    p[warp + 8 * i][lane] = weight;
    ds[warp + 8 * i][lane] = weight * (ct[i] - mean) * (A)t.scale;
  }
}

extern "C" __global__ void attention_grad_q(const T* q, const T* k, const T* v, const M* mask,
                                            const T* g, const A* tops, const A* totals,
                                            const A* means, T* out, const Layout batch,
                                            const Attention t, long long entries) {
  __shared__ A p[SIDE][SIDE + 1], ds[SIDE][SIDE + 1], values[SIDE][WIDE + 1];
  long long row = (long long)blockIdx.x * SIDE, first = (long long)blockIdx.y * WIDE;
  for (long long entry = blockIdx.z; entry < entries; entry += gridDim.z) {
    Entry in = entry_of(q, k, v, mask, batch, entry);
    long long before = entry * t.rows;
    A sum[8];
#pragma unroll
    for (int n = 0; n < 8; ++n) sum[n] = A(0);
    for (long long column = 0; column < end_of(t, row); column += SIDE) {
      weights(p, ds, t, in, g + before * t.outer, tops + before, totals + before,
              means + before, row, column);
      fill_tile<WIDE>(values, [&](int i, int j) {
        bool inside = column + i < t.columns && first + j < t.inner;
        return inside ? (A)widen(in.k[(column + i) * t.k[0] + (first + j) * t.k[1]]) : A(0);
      });
      __syncthreads();
      add_products(sum, values, [&](int i, int j) { return ds[i][j]; });
      __syncthreads();
    }
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      long long r = row + (threadIdx.x >> 6) + 4 * n, e = first + (threadIdx.x & 63);
      if (r < t.rows && e < t.inner) narrow(out + (before + r) * t.inner + e, sum[n]);
    }
  }
}

// The gradients of the keys and the values: a block has 32 columns and goes through the rows.
extern "C" __global__ void attention_grad_kv(const T* q, const T* k, const T* v, const M* mask,
                                             const T* g, const A* tops, const A* totals,
                                             const A* means, T* of_k, T* of_v, const Layout batch,
                                             const Attention t, long long entries) {
  __shared__ A p[SIDE][SIDE + 1], ds[SIDE][SIDE + 1], values[SIDE][WIDE + 1];
  long long column = (long long)blockIdx.x * SIDE, first = (long long)blockIdx.y * WIDE;
  for (long long entry = blockIdx.z; entry < entries; entry += gridDim.z) {
    Entry in = entry_of(q, k, v, mask, batch, entry);
    long long before = entry * t.rows;
    const T* seed = g + before * t.outer;
    A k_sum[8], v_sum[8];
#pragma unroll
    for (int n = 0; n < 8; ++n) k_sum[n] = v_sum[n] = A(0);
    for (long long row = t.causal ? column : 0; row < t.rows; row += SIDE) {
      weights(p, ds, t, in, seed, tops + before, totals + before, means + before, row,
              column);
      fill_tile<WIDE>(values, [&](int i, int j) {
        bool inside = row + i < t.rows && first + j < t.outer;
        return inside ? (A)widen(seed[(row + i) * t.outer + first + j]) : A(0);
      });
      __syncthreads();
      add_products(v_sum, values, [&](int i, int j) { return p[j][i]; });
      __syncthreads();
      fill_tile<WIDE>(values, [&](int i, int j) {
        bool inside = row + i < t.rows && first + j < t.inner;
        return inside ? (A)widen(in.q[(row + i) * t.q[0] + (first + j) * t.q[1]]) : A(0);
      });
      __syncthreads();
      add_products(k_sum, values, [&](int i, int j) { return ds[j][i]; });
      __syncthreads();
    }
#pragma unroll
    for (int n = 0; n < 8; ++n) {
      long long c = column + (threadIdx.x >> 6) + 4 * n, e = first + (threadIdx.x & 63);
      if (c >= t.columns) continue;
      if (e < t.inner) narrow(of_k + (entry * t.columns + c) * t.inner + e, k_sum[n]);
      if (e < t.outer) narrow(of_v + (entry * t.columns + c) * t.outer + e, v_sum[n]);
    }
  }
}
