// Stands in for libcusolver.so.12: factors, eigenvalues and singular values of one dense matrix at
// a time, with its checks, by textbook algorithms. Every other entry point answers
// CUSOLVER_STATUS_NOT_SUPPORTED. Nothing is recorded: CuPy refuses that before it calls.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <numeric>
#include <vector>
#include <algorithm>
#include "library.h"

using Status = int;
enum { SUCCESS = 0, INVALID_VALUE = 3 };
enum { UPPER = 1 };
constexpr int SWEEPS = 60;

// Matrices in order of columns.
template <class T>
struct Matrix {
  T* data;
  int pitch;
  T& operator()(int i, int j) const { return data[size_t(j) * pitch + i]; }
};

static Status refused(const char* what) {
  std::fprintf(stderr, "emulator: cuSOLVER would refuse %s\n", what);
  return INVALID_VALUE;
}

static bool too_narrow(int rows, int pitch) { return rows < 0 || pitch < std::max(rows, 1); }

// What a function of these sides asks for, and whether it got that; what is in it is lost.
static int room(int m, int n) { return 2 * m + 3 * n + 7; }

template <class T>
static bool no_room(void* work, int size, int m, int n) {
  if (!work || size < room(m, n)) return true;
  std::fill_n(static_cast<T*>(work), size, std::numeric_limits<T>::quiet_NaN());
  return false;
}

template <class T>
static Status potrf(int uplo, int n, void* x, int lda, void* work, int size, int* info) {
  if (too_narrow(n, lda) || no_room<T>(work, size, n, n)) return refused("these sides");
  Matrix<T> a{static_cast<T*>(x), lda};
  auto at = [&](int i, int j) -> T& { return uplo == UPPER ? a(j, i) : a(i, j); };
  *info = 0;
  ++calls;
  for (int j = 0; j < n; ++j)
    for (int i = j; i < n; ++i) {
      T left = at(i, j);
      for (int k = 0; k < j; ++k) left -= at(i, k) * at(j, k);
      if (i == j && !(left > T(0))) return *info = j + 1, SUCCESS;
      at(i, j) = i == j ? std::sqrt(left) : left / at(j, j);
    }
  return SUCCESS;
}

template <class T>
static Status getrf(int m, int n, void* x, int lda, void* work, int* pivots, int* info) {
  if (too_narrow(m, lda) || no_room<T>(work, room(m, n), m, n)) return refused("these sides");
  Matrix<T> a{static_cast<T*>(x), lda};
  *info = 0;
  ++calls;
  for (int k = 0; k < std::min(m, n); ++k) {
    int best = k;
    for (int i = k + 1; i < m; ++i)
      if (std::abs(a(i, k)) > std::abs(a(best, k))) best = i;
    pivots[k] = best + 1;
    for (int j = 0; j < n; ++j) std::swap(a(k, j), a(best, j));
    if (a(k, k) == T(0) && !*info) *info = k + 1;
    for (int i = k + 1; i < m && a(k, k) != T(0); ++i) {
      a(i, k) /= a(k, k);
      for (int j = k + 1; j < n; ++j) a(i, j) -= a(i, k) * a(k, j);
    }
  }
  return SUCCESS;
}

template <class T>
static Status getrs(int trans, int n, int columns, const void* x, int lda, const int* pivots,
                    void* right, int ldb, int* info) {
  if (trans || too_narrow(n, lda) || too_narrow(n, ldb)) return refused("these sides");
  Matrix<T> a{static_cast<T*>(const_cast<void*>(x)), lda}, b{static_cast<T*>(right), ldb};
  *info = 0;
  ++calls;
  for (int c = 0; c < columns; ++c) {
    for (int i = 0; i < n; ++i) std::swap(b(i, c), b(pivots[i] - 1, c));
    for (int i = 0; i < n; ++i)
      for (int j = 0; j < i; ++j) b(i, c) -= a(i, j) * b(j, c);
    for (int i = n - 1; i >= 0; --i) {
      for (int j = i + 1; j < n; ++j) b(i, c) -= a(i, j) * b(j, c);
      b(i, c) /= a(i, i);
    }
  }
  return SUCCESS;
}

// Apply I - tau v v^T, whose v is 1 in row `first` and then in column `of`.
template <class T>
static void reflect(Matrix<T> v, int of, T tau, Matrix<T> a, int first, int m, int column) {
  T along = a(first, column);
  for (int i = first + 1; i < m; ++i) along += v(i, of) * a(i, column);
  a(first, column) -= tau * along;
  for (int i = first + 1; i < m; ++i) a(i, column) -= tau * along * v(i, of);
}

template <class T>
static Status geqrf(int m, int n, void* x, int lda, void* taus, void* work, int size, int* info) {
  if (too_narrow(m, lda) || no_room<T>(work, size, m, n)) return refused("these sides");
  Matrix<T> a{static_cast<T*>(x), lda};
  *info = 0;
  ++calls;
  for (int j = 0; j < std::min(m, n); ++j) {
    T top = std::abs(a(j, j)), below = 0, &tau = static_cast<T*>(taus)[j];
    for (int i = j + 1; i < m; ++i) top = std::max(top, std::abs(a(i, j)));
    for (int i = j + 1; i < m && top > T(0); ++i) below = std::hypot(below, a(i, j) / top);
    tau = 0;
    if (below == T(0)) continue;
    T head = a(j, j) / top, beta = -std::copysign(std::hypot(head, below), head);
    tau = (beta - head) / beta;
    for (int i = j + 1; i < m; ++i) a(i, j) = a(i, j) / top / (head - beta);
    a(j, j) = beta * top;
    for (int c = j + 1; c < n; ++c) reflect(a, j, tau, a, j, m, c);
  }
  return SUCCESS;
}

template <class T>
static Status orgqr(int m, int n, int k, void* x, int lda, const void* taus, void* work, int size,
                    int* info) {
  if (n > m || k > n || too_narrow(m, lda) || no_room<T>(work, size, m, n))
    return refused("these sides");
  Matrix<T> a{static_cast<T*>(x), lda};
  std::vector<T> kept(size_t(m) * n);
  Matrix<T> v{kept.data(), m};
  *info = 0;
  ++calls;
  for (int j = 0; j < n; ++j)
    for (int i = 0; i < m; ++i) v(i, j) = a(i, j), a(i, j) = i == j;
  for (int j = k - 1; j >= 0; --j)
    for (int c = j; c < n; ++c) reflect(v, j, static_cast<const T*>(taus)[j], a, j, m, c);
  return SUCCESS;
}

// The rotation that makes [[p, r], [r, q]] diagonal, applied to two columns or rows.
template <class T>
struct Rotation {
  T c, s;
  Rotation(T p, T q, T r) {
    T angle = std::atan2(2 * r, q - p) / 2;
    if (q < p) angle = std::atan2(-2 * r, p - q) / 2;
    c = std::cos(angle), s = std::sin(angle);
  }
  void operator()(T& p, T& q) const {
    T one = p, other = q;
    p = c * one - s * other, q = s * one + c * other;
  }
};

template <class T>
static Status syevd(int wanted, int uplo, int n, void* x, int lda, void* out, void* work, int size,
                    int* info) {
  if (too_narrow(n, lda) || no_room<T>(work, size, n, n)) return refused("these sides");
  Matrix<T> given{static_cast<T*>(x), lda};
  std::vector<T> kept(size_t(n) * n), turned(size_t(n) * n);
  Matrix<T> a{kept.data(), n}, v{turned.data(), n};
  T top = 0;
  for (int j = 0; j < n; ++j)
    for (int i = 0; i < n; ++i) {
      a(i, j) = (uplo == UPPER) == (i < j) ? given(i, j) : given(j, i);
      v(i, j) = i == j;
      top = std::max(top, std::abs(a(i, j)));
    }
  ++calls;
  *info = n;  // of elements that did not become 0
  for (int sweep = 0; sweep < SWEEPS && *info; ++sweep) {
    *info = 0;
    for (int p = 0; p < n; ++p)
      for (int q = p + 1; q < n; ++q) {
        if (!(std::abs(a(p, q)) > std::numeric_limits<T>::epsilon() * top / 16)) continue;
        *info = n;
        Rotation<T> turn(a(p, p), a(q, q), a(p, q));
        for (int i = 0; i < n; ++i) turn(a(i, p), a(i, q)), turn(v(i, p), v(i, q));
        for (int i = 0; i < n; ++i) turn(a(p, i), a(q, i));
        a(p, q) = a(q, p) = 0;
      }
  }
  std::vector<int> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int i, int j) { return a(i, i) < a(j, j); });
  for (int j = 0; j < n; ++j) {
    static_cast<T*>(out)[j] = a(order[j], order[j]);
    for (int i = 0; i < n; ++i) given(i, j) = wanted ? v(i, order[j]) : T(NAN);
  }
  return SUCCESS;
}

// Make columns of u from `first` on orthonormal to those before: unit vectors without their parts.
template <class T>
static void complete(Matrix<T> u, int m, int first, int columns) {
  for (int j = first, axis = 0; j < columns && axis < m; ++axis) {
    for (int i = 0; i < m; ++i) u(i, j) = i == axis;
    T length = 1;
    for (int again = 0; again < 2; ++again)
      for (int k = 0; k <= j; ++k) {
        T along = 0;
        for (int i = 0; i < m; ++i) along += u(i, k) * u(i, j);
        if (k == j) length = std::sqrt(along);
        for (int i = 0; i < m && k < j; ++i) u(i, j) -= along * u(i, k);
      }
    if (length * m < T(0.3)) continue;
    for (int i = 0; i < m; ++i) u(i, j) /= length;
    ++j;
  }
}

template <class T>
static Status gesvd(signed char job_u, signed char job_v, int m, int n, void* x, int lda, void* s,
                    void* left, int ldu, void* right, int ldv, void* work, int size, void*,
                    int* info) {
  if (m < n) return refused("an SVD of matrices that are wide");
  if (too_narrow(m, lda) || no_room<T>(work, size, m, n)) return refused("these sides");
  bool vectors = job_u != 'N';
  if ((job_u != 'N' && job_u != 'S' && job_u != 'A') || (job_v != 'N') != vectors)
    return refused("these jobs");
  if (vectors && (too_narrow(m, ldu) || too_narrow(n, ldv))) return refused("these sides");
  Matrix<T> a{static_cast<T*>(x), lda};
  std::vector<T> turned(size_t(n) * n), values(n);
  Matrix<T> v{turned.data(), n};
  T unit = 0, top = std::numeric_limits<T>::epsilon();  // columns below that count as 0
  for (int j = 0; j < n; ++j)
    for (int i = 0; i < m; ++i) v(j, j) = 1, unit = std::max(unit, std::abs(a(i, j)));
  for (int j = 0; j < n && unit > T(0); ++j)
    for (int i = 0; i < m; ++i) a(i, j) /= unit;
  ++calls;
  *info = n;
  for (int sweep = 0; sweep < SWEEPS && *info; ++sweep) {
    *info = 0;
    for (int p = 0; p < n; ++p)
      for (int q = p + 1; q < n; ++q) {
        T one = 0, other = 0, both = 0;
        for (int i = 0; i < m; ++i)
          one += a(i, p) * a(i, p), other += a(i, q) * a(i, q), both += a(i, p) * a(i, q);
        if (std::sqrt(std::min(one, other)) <= top) continue;
        T angle = std::abs(both) / std::sqrt(one) / std::sqrt(other), small = 16 * m + 64;
        if (!(angle > std::numeric_limits<T>::epsilon() / 16)) continue;
        if (angle > std::numeric_limits<T>::epsilon() / 16 * small) *info = n;
        Rotation<T> turn(one, other, both);
        for (int i = 0; i < m; ++i) turn(a(i, p), a(i, q));
        for (int i = 0; i < n; ++i) turn(v(i, p), v(i, q));
      }
  }
  for (int j = 0; j < n; ++j)
    for (int i = 0; i < m; ++i) values[j] = std::hypot(values[j], a(i, j));
  std::vector<int> order(n);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int i, int j) { return values[i] > values[j]; });
  int rank = 0;
  for (int j = 0; j < n; ++j) {
    T value = values[order[j]];
    static_cast<T*>(s)[j] = value * unit;
    if (!vectors) continue;
    rank += value > top;
    for (int i = 0; i < m && value > top; ++i)
      static_cast<T*>(left)[size_t(j) * ldu + i] = a(i, order[j]) / value;
    for (int i = 0; i < n; ++i) static_cast<T*>(right)[size_t(i) * ldv + j] = v(i, order[j]);
  }
  if (vectors) complete(Matrix<T>{static_cast<T*>(left), ldu}, m, rank, job_u == 'A' ? m : n);
  for (int j = 0; j < n; ++j)
    for (int i = 0; i < m; ++i) a(i, j) = T(NAN);  // the matrix is lost
  return SUCCESS;
}

extern "C" Status cusolverDnCreate(void** handle) {
  *handle = reinterpret_cast<void*>(1);
  return SUCCESS;
}
extern "C" Status cusolverDnDestroy(void*) { return SUCCESS; }
extern "C" Status cusolverDnSetStream(void*, void*) { return SUCCESS; }

#define BOTH(name, parameters, arguments)                                            \
  extern "C" Status cusolverDnS##name parameters { return name<float> arguments; }   \
  extern "C" Status cusolverDnD##name parameters { return name<double> arguments; }
#define ROOM(name, parameters, m, n)                                                           \
  extern "C" Status cusolverDnS##name##_bufferSize parameters { return *size = room(m, n), 0; } \
  extern "C" Status cusolverDnD##name##_bufferSize parameters { return *size = room(m, n), 0; }

ROOM(potrf, (void*, int, int n, void*, int, int* size), n, n)
ROOM(getrf, (void*, int m, int n, void*, int, int* size), m, n)
ROOM(geqrf, (void*, int m, int n, void*, int, int* size), m, n)
ROOM(orgqr, (void*, int m, int n, int, void*, int, void*, int* size), m, n)
ROOM(syevd, (void*, int, int, int n, void*, int, void*, int* size), n, n)
ROOM(gesvd, (void*, int m, int n, int* size), m, n)
BOTH(potrf, (void*, int uplo, int n, void* a, int lda, void* work, int size, int* info),
     (uplo, n, a, lda, work, size, info))
BOTH(getrf, (void*, int m, int n, void* a, int lda, void* work, int* pivots, int* info),
     (m, n, a, lda, work, pivots, info))
BOTH(getrs, (void*, int trans, int n, int columns, const void* a, int lda, const int* pivots,
             void* b, int ldb, int* info),
     (trans, n, columns, a, lda, pivots, b, ldb, info))
BOTH(geqrf, (void*, int m, int n, void* a, int lda, void* tau, void* work, int size, int* info),
     (m, n, a, lda, tau, work, size, info))
BOTH(orgqr, (void*, int m, int n, int k, void* a, int lda, const void* tau, void* work, int size,
             int* info),
     (m, n, k, a, lda, tau, work, size, info))
BOTH(syevd, (void*, int wanted, int uplo, int n, void* a, int lda, void* w, void* work, int size,
             int* info),
     (wanted, uplo, n, a, lda, w, work, size, info))
BOTH(gesvd, (void*, signed char job_u, signed char job_v, int m, int n, void* a, int lda, void* s,
             void* u, int ldu, void* vt, int ldvt, void* work, int size, void* rest, int* info),
     (job_u, job_v, m, n, a, lda, s, u, ldu, vt, ldvt, work, size, rest, info))
