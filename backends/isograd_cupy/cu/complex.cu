// Complex numbers. Products and quotients are NumPy's; functions are computed in double.
template <class R>
struct alignas(2 * sizeof(R)) complex_t {
  R re, im;
  complex_t() = default;
  __device__ __forceinline__ complex_t(R real, R imag = R(0)) : re(real), im(imag) {}
  template <class Q>
  __device__ __forceinline__ explicit complex_t(complex_t<Q> z) : re((R)z.re), im((R)z.im) {}
};
typedef complex_t<double> Wide;

template <class R>
__device__ __forceinline__ complex_t<R> operator-(complex_t<R> z) {
  return complex_t<R>(-z.re, -z.im);
}
template <class R>
__device__ __forceinline__ complex_t<R> operator+(complex_t<R> a, complex_t<R> b) {
  return complex_t<R>(a.re + b.re, a.im + b.im);
}
template <class R>
__device__ __forceinline__ complex_t<R> operator-(complex_t<R> a, complex_t<R> b) {
  return complex_t<R>(a.re - b.re, a.im - b.im);
}
template <class R>
__device__ __forceinline__ complex_t<R> operator*(complex_t<R> a, complex_t<R> b) {
  return complex_t<R>(a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re);
}
// By R. L. Smith's algorithm, which overflows only where the quotient does, or nearly.
template <class R>
__device__ complex_t<R> operator/(complex_t<R> a, complex_t<R> b) {
  if (fabs(b.re) >= fabs(b.im)) {
    if (b.re == R(0)) return complex_t<R>(a.re / fabs(b.re), a.im / fabs(b.re));
    R ratio = b.im / b.re, whole = b.re + b.im * ratio;
    return complex_t<R>((a.re + a.im * ratio) / whole, (a.im - a.re * ratio) / whole);
  }
  R ratio = b.re / b.im, whole = b.im + b.re * ratio;
  return complex_t<R>((a.re * ratio + a.im) / whole, (a.im * ratio - a.re) / whole);
}
template <class R>
__device__ __forceinline__ bool operator==(complex_t<R> a, complex_t<R> b) {
  return a.re == b.re && a.im == b.im;
}
template <class R>
__device__ __forceinline__ bool operator!=(complex_t<R> a, complex_t<R> b) {
  return !(a == b);
}
template <class R>
__device__ __forceinline__ complex_t<R> conjugate(complex_t<R> z) {
  return complex_t<R>(z.re, -z.im);
}
template <class R>
__device__ __forceinline__ complex_t<R> scaled(complex_t<R> z, double factor) {
  return complex_t<R>(z.re * (R)factor, z.im * (R)factor);
}
template <class R>
__device__ __forceinline__ complex_t<R> rint(complex_t<R> z) {
  return complex_t<R>(rint(z.re), rint(z.im));
}
template <class R>
__device__ __forceinline__ bool isnan(complex_t<R> z) {
  return isnan(z.re) || isnan(z.im);
}
template <class R>
__device__ __forceinline__ bool isinf(complex_t<R> z) {
  return isinf(z.re) || isinf(z.im);
}
template <class R>
__device__ __forceinline__ bool isfinite(complex_t<R> z) {
  return isfinite(z.re) && isfinite(z.im);
}
