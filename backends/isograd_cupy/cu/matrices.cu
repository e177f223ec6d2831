// Batches of matrices in order of columns: element (i, j) of one with m rows is a[j * m + i].
// What precedes and follows a decomposition works on elements; decompositions of small matrices,
// with at most 64 rows and columns, have a block for each. T is float or double.

constexpr T EPSILON = sizeof(T) == 4 ? T(1.1920928955078125e-7) : T(2.220446049250313e-16);
constexpr int SYMMETRIC = 1, LOWER = 2, UPPER = 3;
constexpr int MOST_SWEEPS = 30;

__device__ __forceinline__ long long after(long long first) { return first + threadIdx.x; }

// -- before and after -----------------------------------------------------------------------------

// Copy a part of matrices whose elements (i, j) lie at i * down + j * across; note those with
// elements that are not finite, and triangles that cannot be solved.
extern "C" __global__ void pack(const T* x, T* out, int* bad, int* info, long long rows,
                                long long size, long long down, long long across, int part,
                                int unit, long long n) {
  for (long long at = first_index(); at < n; at += index_step()) {
    long long b = at / size, i = at % size % rows, j = at % size / rows;
    const T* from = x + b * size;
    T value;
    if (part == SYMMETRIC) {
      T low = from[max(i, j) * down + min(i, j) * across];
      value = low + (from[min(i, j) * down + max(i, j) * across] - low) * T(0.5);
    } else if (unit && i == j) {
      value = T(1);
    } else if (part == LOWER && i < j || part == UPPER && i > j) {
      value = T(0);
    } else {
      value = from[i * down + j * across];
    }
    if (!isfinite(value)) bad[b] = 1;
    if (part >= LOWER && i == j && value == T(0)) info[b] = 1;
    out[at] = value;
  }
}

// What is not finite may hold up a decomposition, so it becomes the identity, and NaN afterwards.
extern "C" __global__ void mend(T* x, const int* bad, long long rows, long long size,
                                long long n) {
  for (long long at = first_index(); at < n; at += index_step())
    if (bad[at / size]) x[at] = at % size % rows == at % size / rows ? T(1) : T(0);
}

extern "C" __global__ void spoil(T* x, const int* bad, long long size, long long n) {
  for (long long at = first_index(); at < n; at += index_step())
    if (bad[at / size]) x[at] = T(reinterpret<float>(0x7FC00000u));
}

extern "C" __global__ void first_fault(const int* info, const int* bad, long long* wrong,
                                       long long count) {
  for (long long b = first_index(); b < count; b += index_step())
    if (info[b] && !bad[b]) atomicMin(wrong, b);
}

// Matrices that are 1 on the diagonal.
extern "C" __global__ void identities(T* x, long long rows, long long size, long long n) {
  for (long long at = first_index(); at < n; at += index_step())
    x[at] = at % size % rows == at % size / rows ? T(1) : T(0);
}

// Let what lies below the diagonal, in order of columns, be 0.
extern "C" __global__ void keep_upper(T* x, long long rows, long long size, long long n) {
  for (long long at = first_index(); at < n; at += index_step())
    if (at % size % rows > at % size / rows) x[at] = T(0);
}

// The sign of the first large element.
__device__ T facing(const T* x, long long n, long long step) {
  T top = T(0);
  for (long long i = 0; i < n; ++i) top = fabs(x[i * step]) > top ? fabs(x[i * step]) : top;
  for (long long i = 0; i < n; ++i)
    if (fabs(x[i * step]) > T(0.7) * top) return x[i * step] < T(0) ? T(-1) : T(1);
  return T(1);
}

// Make columns of u face one way. Where there is a v, its first k columns, in order of rows, turn
// with those of u, and `by_v` decides.
extern "C" __global__ void turn(T* u, T* v, long long rows, long long width, long long k, int by_v,
                                long long n) {
  for (long long at = first_index(); at < n; at += index_step()) {
    long long b = at / width, j = at % width;
    T *left = u + at * rows, *right = v + b * k * k + j;
    T sign = j < k && by_v ? facing(right, k, k) : facing(left, rows, 1);
    for (long long i = 0; i < rows; ++i) left[i] *= sign;
    if (j < k)
      for (long long i = 0; i < k; ++i) right[i * k] *= sign;
  }
}

// The upper triangle of what reflections left, in order of rows, with a diagonal that is not
// negative.
extern "C" __global__ void triangle(const T* x, T* r, long long rows, long long columns,
                                    long long width, long long n) {
  for (long long at = first_index(); at < n; at += index_step()) {
    long long b = at / (width * columns), i = at / columns % width, j = at % columns;
    const T* a = x + b * rows * columns;
    T value = T(0);
    if (i <= j) value = a[i * rows + i] < T(0) ? -a[j * rows + i] : a[j * rows + i];
    r[at] = value;
  }
}

// Turn the columns of q with the rows of that triangle; other columns face one way.
extern "C" __global__ void turn_reflected(T* q, const T* x, long long rows, long long columns,
                                          long long width, long long n) {
  for (long long at = first_index(); at < n; at += index_step()) {
    long long b = at / width, j = at % width;
    T* column = q + at * rows;
    T sign = j < min(rows, columns)
                 ? (x[(b * columns + j) * rows + j] < T(0) ? T(-1) : T(1))
                 : facing(column, rows, 1);
    for (long long i = 0; i < rows; ++i) column[i] *= sign;
  }
}

// The determinant of a product of triangles: its sign, and its value or its logarithm.
extern "C" __global__ void determinant(const T* x, const int* pivots, T* sign, T* value,
                                       long long n, int logarithm, long long count) {
  for (long long b = first_index(); b < count; b += index_step()) {
    T turn = T(1), product = T(1), sum = T(0);
    for (long long i = 0; i < n; ++i) {
      T element = x[(b * n + i) * n + i];
      if (pivots[b * n + i] != i + 1) turn = -turn, product = -product;
      product *= element;
      turn *= element < T(0) ? T(-1) : element == T(0) ? T(0) : T(1);
      sum += log(fabs(element));
    }
    sign[b] = turn;
    value[b] = logarithm ? sum : product;
  }
}

// 1 / s, and 0 for what counts as zero; s descends.
extern "C" __global__ void invert_values(const T* s, const T* cutoff, T* out, long long k,
                                         long long n) {
  for (long long at = first_index(); at < n; at += index_step()) {
    long long b = at / k;
    out[at] = s[at] <= cutoff[b] * s[b * k] ? T(0) : T(1) / s[at];
  }
}

// The products of all other values.
extern "C" __global__ void others(const T* s, T* out, long long k, long long n) {
  for (long long at = first_index(); at < n; at += index_step()) {
    T product = T(1);
    for (long long i = 0; i < k; ++i)
      if (i != at % k) product *= s[at / k * k + i];
    out[at] = product;
  }
}

// p x + q y + r z, and s on the diagonal; added to what is there where `more`.
extern "C" __global__ void combine(const T* x, const T* y, const T* z, T* out, T p, T q, T r, T s,
                                   int more, long long rows, long long n) {
  for (long long at = first_index(); at < n; at += index_step()) {
    T sum = p * x[at] + q * y[at] + r * z[at];
    if (at % rows == at / rows % rows) sum += s;
    out[at] = more ? out[at] + sum : sum;
  }
}

// -- a block for each matrix ----------------------------------------------------------------------

// How often to halve matrices until their 1-norm is at most a limit, and the matrices so halved.
extern "C" __global__ void halve(const T* x, T* out, int* halvings, T limit, long long n,
                                 long long count) {
  __shared__ T part[128];
  for (long long b = blockIdx.x; b < count; b += gridDim.x) {
    const T* a = x + b * n * n;
    T top = T(0);
    for (long long j = after(0); j < n; j += blockDim.x) {
      T sum = T(0);
      for (long long i = 0; i < n; ++i) sum += fabs(a[i * n + j]);
      if (!(sum <= top)) top = sum;
    }
    part[threadIdx.x] = top;
    __syncthreads();
    for (int i = 0; i < blockDim.x; ++i)
      if (!(part[i] <= top)) top = part[i];
    int times = isfinite(top) && top > limit ? (int)ceil(log2(top / limit)) : 0;
    T scale = ldexp(T(1), -times);
    for (long long i = after(0); i < n * n; i += blockDim.x) out[b * n * n + i] = a[i] * scale;
    if (threadIdx.x == 0) halvings[b] = times;
    __syncthreads();
  }
}

// Square matrices as often as they were halved; the result is in x.
extern "C" __global__ void square_up(T* x, T* spare, const int* halvings, long long n,
                                     long long count) {
  for (long long b = blockIdx.x; b < count; b += gridDim.x) {
    T *a = x + b * n * n, *c = spare + b * n * n;
    for (int step = 0; step < halvings[b]; ++step) {
      for (long long at = after(0); at < n * n; at += blockDim.x) {
        T sum = T(0);
        for (long long l = 0; l < n; ++l) sum += a[at / n * n + l] * a[l * n + at % n];
        c[at] = sum;
      }
      __syncthreads();
      for (long long at = after(0); at < n * n; at += blockDim.x) a[at] = c[at];
      __syncthreads();
    }
  }
}

// The Cholesky factor U, with U^T U = x, in the upper triangle.
extern "C" __global__ void cholesky(T* x, int* info, long long n, long long count) {
  for (long long b = blockIdx.x; b < count; b += gridDim.x) {
    T* a = x + b * n * n;
    for (long long k = 0; k < n; ++k) {
      for (long long i = after(k); i < n; i += blockDim.x) {
        T left = a[i * n + k];
        for (long long j = 0; j < k; ++j) left -= a[i * n + j] * a[k * n + j];
        a[i * n + k] = left;
      }
      __syncthreads();
      T pivot = a[k * n + k], root = sqrt(pivot);
      if (!(pivot > T(0))) {  // the same for all threads
        if (threadIdx.x == 0) info[b] = (int)k + 1;
        break;
      }
      __syncthreads();
      for (long long i = after(k); i < n; i += blockDim.x)
        a[i * n + k] = i == k ? root : a[i * n + k] / root;
      __syncthreads();
    }
  }
}

// LU with exchanges of rows; pivots count from 1, as LAPACK's do.
extern "C" __global__ void factor(T* x, int* pivots, int* info, long long n, long long count) {
  __shared__ int chosen;
  for (long long b = blockIdx.x; b < count; b += gridDim.x) {
    T* a = x + b * n * n;
    for (long long k = 0; k < n; ++k) {
      if (threadIdx.x == 0) {
        chosen = (int)k;
        for (long long i = k + 1; i < n; ++i)
          if (fabs(a[k * n + i]) > fabs(a[k * n + chosen])) chosen = (int)i;
        pivots[b * n + k] = chosen + 1;
        if (a[k * n + chosen] == T(0) && !info[b]) info[b] = (int)k + 1;
      }
      __syncthreads();
      if (chosen != k)
        for (long long j = after(0); j < n; j += blockDim.x) {
          T kept = a[j * n + k];
          a[j * n + k] = a[j * n + chosen];
          a[j * n + chosen] = kept;
        }
      __syncthreads();
      T pivot = a[k * n + k];
      if (pivot == T(0)) continue;  // the same for all threads
      for (long long i = after(k + 1); i < n; i += blockDim.x) a[k * n + i] /= pivot;
      __syncthreads();
      long long rest = n - k - 1;
      for (long long at = after(0); at < rest * rest; at += blockDim.x) {
        long long i = k + 1 + at % rest, j = k + 1 + at / rest;
        a[j * n + i] -= a[k * n + i] * a[j * n + k];
      }
      __syncthreads();
    }
  }
}

__device__ void substitute(const T* a, T* x, long long n, long long columns, bool lower,
                           bool unit) {
  for (long long step = 0; step < n; ++step) {
    long long j = lower ? step : n - 1 - step, rest = n - 1 - step;
    if (!unit)
      for (long long c = after(0); c < columns; c += blockDim.x) x[c * n + j] /= a[j * n + j];
    __syncthreads();
    for (long long at = after(0); at < rest * columns; at += blockDim.x) {
      long long i = at % rest + (lower ? j + 1 : 0), c = at / rest;
      x[c * n + i] -= a[j * n + i] * x[c * n + j];
    }
    __syncthreads();
  }
}

extern "C" __global__ void solve_triangles(const T* x, T* y, long long n, long long columns,
                                           int lower, long long count) {
  for (long long b = blockIdx.x; b < count; b += gridDim.x)
    substitute(x + b * n * n, y + b * n * columns, n, columns, lower, false);
}

extern "C" __global__ void solve_factored(const T* x, const int* pivots, T* y, long long n,
                                          long long columns, long long count) {
  for (long long b = blockIdx.x; b < count; b += gridDim.x) {
    T* right = y + b * n * columns;
    for (long long c = after(0); c < columns; c += blockDim.x)
      for (long long i = 0; i < n; ++i) {
        long long other = pivots[b * n + i] - 1;
        T kept = right[c * n + i];
        right[c * n + i] = right[c * n + other];
        right[c * n + other] = kept;
      }
    __syncthreads();
    substitute(x + b * n * n, right, n, columns, true, true);
    substitute(x + b * n * n, right, n, columns, false, false);
  }
}

// QR by reflections I - tau v v^T: R and, below it, the vectors v are left in x, and as many
// columns of Q as are wanted written to q.
extern "C" __global__ void reflect(T* x, T* tau, T* q, long long m, long long n, long long width,
                                   long long count) {
  long long k = min(m, n);
  for (long long b = blockIdx.x; b < count; b += gridDim.x) {
    T *a = x + b * m * n, *weight = tau + b * k, *out = q + b * m * width;
    for (long long j = 0; j < k; ++j) {
      // In units of the largest magnitude, for even what is subnormal has to give unit vectors.
      T *v = a + j * m, top = T(0), square = T(0);
      for (long long i = j + 1; i < m; ++i) top = fabs(v[i]) > top ? fabs(v[i]) : top;
      bool turns = top > T(0);
      top = fabs(v[j]) > top ? fabs(v[j]) : top;
      for (long long i = j + 1; i < m && turns; ++i) square += v[i] / top * (v[i] / top);
      T head = turns ? v[j] / top : T(1), length = -copysign(hypot(head, sqrt(square)), head);
      T scale = turns ? (length - head) / length : T(0);
      __syncthreads();  // all have read the column
      if (turns)
        for (long long i = after(j + 1); i < m; i += blockDim.x)
          v[i] = v[i] / top / (head - length);
      if (threadIdx.x == 0) {
        weight[j] = scale;
        if (turns) v[j] = length * top;
      }
      __syncthreads();
      for (long long c = after(j + 1); c < n; c += blockDim.x) {
        T* column = a + c * m;
        T along = column[j];
        for (long long i = j + 1; i < m; ++i) along += v[i] * column[i];
        along *= scale;
        column[j] -= along;
        for (long long i = j + 1; i < m; ++i) column[i] -= v[i] * along;
      }
      __syncthreads();
    }
    for (long long c = after(0); c < width; c += blockDim.x) {
      T* column = out + c * m;
      for (long long i = 0; i < m; ++i) column[i] = i == c ? T(1) : T(0);
      for (long long j = min(k - 1, c); j >= 0; --j) {
        const T* v = a + j * m;
        T along = column[j];
        for (long long i = j + 1; i < m; ++i) along += v[i] * column[i];
        along *= weight[j];
        column[j] -= along;
        for (long long i = j + 1; i < m; ++i) column[i] -= v[i] * along;
      }
    }
    __syncthreads();
  }
}

// The power of two that brings the largest magnitude near 1.
__device__ T unit_of(const T* a, long long size) {
  __shared__ T part[128];
  T top = T(0);
  for (long long i = after(0); i < size; i += blockDim.x) top = fabs(a[i]) > top ? fabs(a[i]) : top;
  part[threadIdx.x] = top;
  __syncthreads();
  for (int i = 0; i < blockDim.x; ++i) top = part[i] > top ? part[i] : top;
  __syncthreads();
  if (top == T(0)) return T(1);
  int most = sizeof(T) == 4 ? 126 : 1022, exponent = -ilogb(top);
  return ldexp(T(1), exponent > most ? most : exponent);
}

// Pair k of round r in a tournament of n, or of n + 1 with one who rests: every two meet once.
__device__ bool meet(long long n, long long r, long long k, long long* p, long long* q) {
  long long last = n - 1 + n % 2, one = k ? (r + k) % last : last;
  long long other = (r + last - k) % last;
  *p = min(one, other);
  *q = max(one, other);
  return *q < n;
}

// The rotation that makes [[p, r], [r, q]] diagonal: its sine, and the tangent of half its angle.
__device__ void rotation(T p, T q, T r, T* sine, T* half) {
  T theta = (q - p) / (T(2) * r);
  T t = (theta < T(0) ? T(-1) : T(1)) / (fabs(theta) + sqrt(T(1) + theta * theta));
  T cosine = T(1) / sqrt(T(1) + t * t);
  *sine = t * cosine;
  *half = *sine / (T(1) + cosine);
}

__device__ __forceinline__ void rotate(T* p, T* q, T sine, T half) {
  T one = *p, other = *q;
  *p = one - sine * (other + half * one);
  *q = other + sine * (one - half * other);
}

// Where value j of n comes in order; equal ones keep theirs.
__device__ long long place_of(const T* values, long long j, long long n, bool descending) {
  long long place = 0;
  for (long long i = 0; i < n; ++i) {
    bool before = descending ? values[i] > values[j] : values[i] < values[j];
    place += before || values[i] == values[j] && i < j;
  }
  return place;
}

// Eigenvalues, ascending, and vectors, in columns, of symmetric matrices, by Jacobi's rotations.
extern "C" __global__ void eigen(T* x, T* work, T* values, T* vectors, long long n, int wanted,
                                 long long count) {
  __shared__ T sine[32], half[32], found[64];
  __shared__ int turned;
  for (long long b = blockIdx.x; b < count; b += gridDim.x) {
    T *a = x + b * n * n, *v = work + b * n * n;
    T unit = unit_of(a, n * n);
    for (long long at = after(0); at < n * n; at += blockDim.x) {
      a[at] *= unit;
      v[at] = at / n == at % n ? T(1) : T(0);
    }
    long long pairs = (n + 1) / 2, p, q;
    for (int sweep = 0; sweep < MOST_SWEEPS; ++sweep) {
      if (threadIdx.x == 0) turned = 0;
      for (long long r = 0; r < 2 * pairs - 1; ++r) {
        __syncthreads();
        for (long long k = after(0); k < pairs; k += blockDim.x) {
          sine[k] = T(0);
          if (!meet(n, r, k, &p, &q)) continue;
          T off = a[q * n + p];
          if (fabs(off) > EPSILON / 16) {
            rotation(a[p * n + p], a[q * n + q], off, sine + k, half + k);
            turned = 1;
          }
        }
        __syncthreads();
        for (long long at = after(0); at < pairs * n; at += blockDim.x) {
          long long k = at / n, i = at % n;
          if (!meet(n, r, k, &p, &q) || sine[k] == T(0)) continue;
          rotate(a + p * n + i, a + q * n + i, sine[k], half[k]);
          if (wanted) rotate(v + p * n + i, v + q * n + i, sine[k], half[k]);
        }
        __syncthreads();
        for (long long at = after(0); at < pairs * n; at += blockDim.x) {
          long long k = at / n, j = at % n;
          if (!meet(n, r, k, &p, &q) || sine[k] == T(0)) continue;
          rotate(a + j * n + p, a + j * n + q, sine[k], half[k]);
          if (j == q) a[q * n + p] = T(0);
          if (j == p) a[p * n + q] = T(0);
        }
      }
      __syncthreads();
      bool done = !turned;
      __syncthreads();
      if (done) break;
    }
    for (long long j = after(0); j < n; j += blockDim.x) found[j] = a[j * n + j];
    __syncthreads();
    for (long long j = after(0); j < n; j += blockDim.x) {
      long long place = place_of(found, j, n, false);
      values[b * n + place] = found[j] / unit;
      for (long long i = 0; i < n && wanted; ++i) vectors[(b * n + place) * n + i] = v[j * n + i];
    }
    __syncthreads();
  }
}

// Singular values, descending, and vectors, by rotating columns until they are orthogonal; m >= n.
// Left vectors are in columns, right ones in columns in order of rows. A column below the roundings
// of the largest element counts as 0, as otherwise those roundings would be rotated without end;
// its left vector is 0.
extern "C" __global__ void singular(T* x, T* work, T* values, T* left, T* right, long long m,
                                    long long n, int wanted, long long count) {
  __shared__ T found[64];
  __shared__ int turned;
  for (long long b = blockIdx.x; b < count; b += gridDim.x) {
    T *a = x + b * m * n, *v = work + b * n * n;
    T unit = unit_of(a, m * n), noise = EPSILON * T(m + 4);
    for (long long at = after(0); at < m * n; at += blockDim.x) a[at] *= unit;
    for (long long at = after(0); at < n * n; at += blockDim.x)
      v[at] = at / n == at % n ? T(1) : T(0);
    long long pairs = (n + 1) / 2, p, q;
    for (int sweep = 0; sweep < MOST_SWEEPS; ++sweep) {
      if (threadIdx.x == 0) turned = 0;
      for (long long r = 0; r < 2 * pairs - 1; ++r) {
        __syncthreads();
        for (long long k = after(0); k < pairs; k += blockDim.x) {
          if (!meet(n, r, k, &p, &q)) continue;
          T *one = a + p * m, *other = a + q * m, first = T(0), second = T(0), both = T(0);
          for (long long i = 0; i < m; ++i) {
            first += one[i] * one[i];
            second += other[i] * other[i];
            both += one[i] * other[i];
          }
          T sine, half, angle = fabs(both) / sqrt(first) / sqrt(second);
          if (min(first, second) <= EPSILON * EPSILON || angle <= EPSILON / 16) continue;
          if (angle > noise) turned = 1;
          rotation(first, second, both, &sine, &half);
          for (long long i = 0; i < m; ++i) rotate(one + i, other + i, sine, half);
          for (long long i = 0; i < n && wanted; ++i)
            rotate(v + p * n + i, v + q * n + i, sine, half);
        }
      }
      __syncthreads();
      bool done = !turned;
      __syncthreads();
      if (done) break;
    }
    for (long long j = after(0); j < n; j += blockDim.x) {
      T square = T(0);
      for (long long i = 0; i < m; ++i) square += a[j * m + i] * a[j * m + i];
      found[j] = sqrt(square);
    }
    __syncthreads();
    for (long long j = after(0); j < n; j += blockDim.x) {
      long long place = place_of(found, j, n, true);
      values[b * n + place] = found[j] / unit;
      for (long long i = 0; i < m && wanted; ++i)
        left[(b * n + place) * m + i] = found[j] > EPSILON ? a[j * m + i] / found[j] : T(0);
      for (long long i = 0; i < n && wanted; ++i)
        right[(b * n + i) * n + place] = v[j * n + i];
    }
    __syncthreads();
  }
}
