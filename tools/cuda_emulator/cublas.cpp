// Stands in for libcublas.so.13: the matrix product and the substitution that isograd calls, with
// its checks. Every other entry point answers CUBLAS_STATUS_NOT_SUPPORTED.
#include <complex>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include "library.h"

#define CUBLAS extern "C"

using Status = int;
using Index = int64_t;
enum { SUCCESS = 0, INVALID_VALUE = 7, EXECUTION_FAILED = 13, NOT_SUPPORTED = 15 };
enum Type { R_32F = 0, R_64F = 1, R_16F = 2, C_32F = 4, C_64F = 5, R_16BF = 14, AS_TF32 = 100 };
template <class T>
using Complex = std::complex<T>;
enum Compute { COMPUTE_32F = 68, COMPUTE_64F = 70, COMPUTE_TF32 = 77 };

static float load(const uint16_t* p, Index i, Type type) {
  uint16_t bits = p[i];
  if (type == R_16F) {
    _Float16 half;
    std::memcpy(&half, &bits, 2);
    return float(half);
  }
  uint32_t wide = uint32_t(bits) << 16;
  float out;
  std::memcpy(&out, &wide, 4);
  return out;
}
static float load(const float* p, Index i, Type type) {
  if (type != AS_TF32) return p[i];
  uint32_t bits;  // tensor cores see 10 bits of the significand
  std::memcpy(&bits, p + i, 4);
  bits = (bits + 0xFFF + (bits >> 13 & 1)) & ~0x1FFFu;
  float out;
  std::memcpy(&out, &bits, 4);
  return out;
}
static double load(const double* p, Index i, Type) { return p[i]; }
template <class T>
static Complex<T> load(const Complex<T>* p, Index i, Type type) {
  auto* parts = reinterpret_cast<const T*>(p + i);
  return {load(parts, 0, type), load(parts, 1, type)};
}

static void store(uint16_t* p, Index i, float value, Type type) {
  if (type == R_16F) {
    _Float16 half = _Float16(value);
    std::memcpy(p + i, &half, 2);
    return;
  }
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  bits = value != value ? 0x7FC00000u : bits + 0x7FFF + ((bits >> 16) & 1);
  p[i] = uint16_t(bits >> 16);
}
static void store(float* p, Index i, float value, Type) { p[i] = value; }
static void store(double* p, Index i, double value, Type) { p[i] = value; }
template <class T>
static void store(Complex<T>* p, Index i, Complex<T> value, Type) {
  p[i] = value;
}

static float conjugate(float x) { return x; }
static double conjugate(double x) { return x; }
template <class T>
static Complex<T> conjugate(Complex<T> x) {
  return std::conj(x);
}
constexpr int CONJUGATED = 2;

struct Shape {
  int transpose_a, transpose_b, m, n, k, lda, ldb, ldc;
};

template <class T, class A>
static void multiply(const Shape& s, A alpha, const T* a, const T* b, A beta, T* c, Type type) {
  for (int j = 0; j < s.n; ++j)
    for (int i = 0; i < s.m; ++i) {
      A sum = 0;
      for (int l = 0; l < s.k; ++l) {
        Index p = s.transpose_a ? Index(i) * s.lda + l : Index(l) * s.lda + i;
        Index q = s.transpose_b ? Index(l) * s.ldb + j : Index(j) * s.ldb + l;
        auto x = load(a, p, type), y = load(b, q, type);
        sum += (s.transpose_a == CONJUGATED ? conjugate(x) : x) *
               (s.transpose_b == CONJUGATED ? conjugate(y) : y);
      }
      Index at = Index(j) * s.ldc + i;
      store(c, at, beta == A(0) ? alpha * sum : alpha * sum + beta * A(load(c, at, type)), type);
    }
}

CUBLAS Status cublasCreate_v2(void** handle) {
  *handle = reinterpret_cast<void*>(1);
  return SUCCESS;
}
CUBLAS Status cublasDestroy_v2(void*) { return SUCCESS; }
static thread_local void* stream_in_use;

CUBLAS Status cublasSetStream_v2(void*, void* stream) {
  stream_in_use = stream;
  return SUCCESS;
}
CUBLAS Status cublasGetStream_v2(void*, void** stream) {
  *stream = stream_in_use;
  return SUCCESS;
}
CUBLAS Status cublasGetVersion_v2(void*, int* version) {
  *version = 130000;
  return SUCCESS;
}
CUBLAS Status cublasSetMathMode(void*, int) { return SUCCESS; }
CUBLAS Status cublasGetMathMode(void*, int* mode) {
  *mode = 0;
  return SUCCESS;
}
CUBLAS Status cublasSetPointerMode_v2(void*, int) { return SUCCESS; }

struct Product {
  Shape shape;
  const char *a, *b;
  char* c;
  Index stride_a, stride_b, stride_c;
  int batch;
  Type type;
};

// E is the type of the elements, A the one to add in.
template <class E, class A>
static void multiply_all(const Product& p, const void* alpha, const void* beta) {
  A scale = *static_cast<const A*>(alpha), kept = *static_cast<const A*>(beta);
  submit(stream_in_use, [=] {
    auto *a = reinterpret_cast<const E*>(p.a), *b = reinterpret_cast<const E*>(p.b);
    for (int i = 0; i < p.batch; ++i)
      multiply(p.shape, scale, a + i * p.stride_a, b + i * p.stride_b, kept,
               reinterpret_cast<E*>(p.c) + i * p.stride_c, p.type);
  });
}

CUBLAS Status cublasGemmStridedBatchedEx(void*, int ta, int tb, int m, int n, int k,
                                         const void* alpha, const void* a, int a_type, int lda,
                                         Index stride_a, const void* b, int b_type, int ldb,
                                         Index stride_b, const void* beta, void* c, int c_type,
                                         int ldc, Index stride_c, int batch, int compute, int) {
  if (lost) return EXECUTION_FAILED;
  if (a_type != b_type || a_type != c_type) return NOT_SUPPORTED;
  bool tf32 = (a_type == R_32F || a_type == C_32F) && compute == COMPUTE_TF32;
  bool wide = a_type == R_64F || a_type == C_64F;
  if (!tf32 && compute != (wide ? COMPUTE_64F : COMPUTE_32F)) return NOT_SUPPORTED;
  if (m < 0 || n < 0 || k < 0 || lda < (ta ? k : m) || ldb < (tb ? n : k) || ldc < m || lda < 1 ||
      ldb < 1) {
    std::fprintf(stderr, "emulator: cuBLAS would refuse these leading dimensions\n");
    return INVALID_VALUE;
  }
  Product p{{ta, tb, m, n, k, lda, ldb, ldc},
            static_cast<const char*>(a),
            static_cast<const char*>(b),
            static_cast<char*>(c),
            stride_a,
            stride_b,
            stride_c,
            batch,
            tf32 ? AS_TF32 : Type(a_type)};
  if (a_type == R_64F) multiply_all<double, double>(p, alpha, beta);
  else if (a_type == R_32F) multiply_all<float, float>(p, alpha, beta);
  else if (a_type == C_64F) multiply_all<Complex<double>, Complex<double>>(p, alpha, beta);
  else if (a_type == C_32F) multiply_all<Complex<float>, Complex<float>>(p, alpha, beta);
  else if (a_type == R_16F || a_type == R_16BF) multiply_all<uint16_t, float>(p, alpha, beta);
  else return NOT_SUPPORTED;
  return SUCCESS;
}

CUBLAS Status cublasGemmEx(void* handle, int ta, int tb, int m, int n, int k, const void* alpha,
                           const void* a, int a_type, int lda, const void* b, int b_type, int ldb,
                           const void* beta, void* c, int c_type, int ldc, int compute,
                           int algorithm) {
  return cublasGemmStridedBatchedEx(handle, ta, tb, m, n, k, alpha, a, a_type, lda, 0, b, b_type,
                                    ldb, 0, beta, c, c_type, ldc, 0, 1, compute, algorithm);
}

// Triangles on the left, as they are, with a diagonal that is read.
template <class T>
static Status substitute(int side, int uplo, int trans, int diagonal, int m, int n,
                         const void* alpha, const void* x, int lda, void* y, int ldb) {
  if (side || trans || diagonal) return NOT_SUPPORTED;
  if (m < 0 || n < 0 || lda < (m > 1 ? m : 1) || ldb < (m > 1 ? m : 1)) return INVALID_VALUE;
  T scale = *static_cast<const T*>(alpha);
  submit(stream_in_use, [=] {
    const T* a = static_cast<const T*>(x);
    for (int c = 0; c < n; ++c) {
      T* b = static_cast<T*>(y) + Index(c) * ldb;
      for (int step = 0; step < m; ++step) {
        int i = uplo ? m - 1 - step : step;
        T left = scale * b[i];
        for (int j = uplo ? i + 1 : 0; j < (uplo ? m : i); ++j) left -= a[Index(j) * lda + i] * b[j];
        b[i] = left / a[Index(i) * lda + i];
      }
    }
  });
  return SUCCESS;
}

CUBLAS Status cublasStrsm_v2(void*, int side, int uplo, int trans, int diagonal, int m, int n,
                             const void* alpha, const void* a, int lda, void* b, int ldb) {
  return substitute<float>(side, uplo, trans, diagonal, m, n, alpha, a, lda, b, ldb);
}
CUBLAS Status cublasDtrsm_v2(void*, int side, int uplo, int trans, int diagonal, int m, int n,
                             const void* alpha, const void* a, int lda, void* b, int ldb) {
  return substitute<double>(side, uplo, trans, diagonal, m, n, alpha, a, lda, b, ldb);
}
