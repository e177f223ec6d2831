// Functions of complex numbers, with C's values at infinities and on both sides of branch cuts.
// sin(z) is sinh(i z) / i, and so on.
__device__ __forceinline__ Wide times_i(Wide z) { return Wide(-z.im, z.re); }
__device__ __forceinline__ Wide over_i(Wide z) { return Wide(z.im, -z.re); }

__device__ Wide exp_of(Wide z) {
  if (z.im == 0.0) return Wide(exp(z.re), z.im);
  if (isinf(z.re) && !isfinite(z.im))
    return z.re < 0.0 ? Wide(0.0, copysign(0.0, z.im)) : Wide(z.re, z.im - z.im);
  bool is_large = z.re > 709.0;  // the square of its root may be finite
  double part = exp(is_large ? 0.5 * z.re : z.re), rest = is_large ? part : 1.0;
  return Wide(part * cos(z.im) * rest, part * sin(z.im) * rest);
}

__device__ Wide expm1_of(Wide z) {
  if (z.im == 0.0) return Wide(expm1(z.re), z.im);
  double half = sin(0.5 * z.im), size = expm1(z.re);
  if (!isfinite(size)) return exp_of(z);
  return Wide(size * cos(z.im) - 2.0 * half * half, exp(z.re) * sin(z.im));
}

// The logarithm of |z|; near 1 from |z|^2 - 1, whose products are exact sums of two doubles.
__device__ double log_size(Wide z) {
  double x = fabs(z.re), y = fabs(z.im), large = x > y ? x : y;
  if (large > 8e307) return log(hypot(0.5 * x, 0.5 * y)) + 0.69314718055994531;
  double a = x * x, b = y * y;
  if (!(a + b > 0.5 && a + b < 2.0)) return log(hypot(x, y));
  double lost = fma(x, x, -a) + fma(y, y, -b);
  return 0.5 * log1p((a > b ? (a - 1.0) + b : (b - 1.0) + a) + lost);
}
__device__ Wide log_of(Wide z) { return Wide(log_size(z), atan2(z.im, z.re)); }
__device__ Wide log2_of(Wide z) { return scaled(log_of(z), 1.4426950408889634); }
__device__ Wide log10_of(Wide z) { return scaled(log_of(z), 0.43429448190325183); }

__device__ Wide log1p_of(Wide z) {
  double x = z.re, y = z.im, angle = atan2(y, 1.0 + x);
  if (fabs(x) < 0.5 && fabs(y) < 0.5) return Wide(0.5 * log1p(x * (2.0 + x) + y * y), angle);
  return Wide(log_size(Wide(1.0 + x, y)), angle);
}

__device__ Wide sqrt_of(Wide z) {
  double x = z.re, y = z.im;
  if (x == 0.0 && y == 0.0) return Wide(0.0, y);
  if (isinf(y)) return Wide(fabs(y), y);
  if (isinf(x)) return x < 0.0 ? Wide(fabs(y - y), copysign(x, y)) : Wide(x, copysign(y - y, y));
  double large = fabs(x) > fabs(y) ? fabs(x) : fabs(y), scale = 1.0;
  if (large > 1e300) {
    x *= 0.0625, y *= 0.0625, scale = 4.0;
  } else if (large < 1e-290) {
    x *= 18014398509481984.0, y *= 18014398509481984.0, scale = 7.450580596923828125e-09;
  }
  double root = sqrt(0.5 * (fabs(x) + hypot(x, y))), other = y / (2.0 * root);
  if (x >= 0.0) return Wide(scale * root, scale * other);
  return Wide(scale * fabs(other), scale * copysign(root, y));
}

__device__ Wide sinh_of(Wide z) {
  double x = z.re, y = z.im;
  if (y == 0.0) return Wide(sinh(x), y);
  if (x == 0.0) return Wide(isfinite(y) ? x * cos(y) : x, sin(y));
  if (isinf(x) && !isfinite(y)) return Wide(x, y - y);
  double root = exp(0.5 * fabs(x));
  if (fabs(x) > 709.0)
    return Wide(copysign(root, x) * cos(y) * 0.5 * root, root * sin(y) * 0.5 * root);
  return Wide(sinh(x) * cos(y), cosh(x) * sin(y));
}
__device__ Wide cosh_of(Wide z) {
  double x = z.re, y = z.im;
  if (y == 0.0) return Wide(cosh(x), x != x ? y : copysign(1.0, x) * y);
  if (x == 0.0) return Wide(cos(y), isfinite(y) ? x * sin(y) : x);
  if (isinf(x) && !isfinite(y)) return Wide(fabs(x), y - y);
  double root = exp(0.5 * fabs(x));
  if (fabs(x) > 709.0)
    return Wide(root * cos(y) * 0.5 * root, copysign(root, x) * sin(y) * 0.5 * root);
  return Wide(cosh(x) * cos(y), sinh(x) * sin(y));
}
// W. Kahan, Branch Cuts for Complex Elementary Functions, 1987.
__device__ Wide tanh_of(Wide z) {
  double x = z.re, y = z.im;
  if (y == 0.0) return Wide(tanh(x), y);
  if (x == 0.0) return Wide(x, tan(y));
  if (isinf(x)) return Wide(copysign(1.0, x), copysign(0.0, isfinite(y) ? sin(2.0 * y) : y));
  if (fabs(x) > 22.0) {
    double decay = exp(-fabs(x));
    return Wide(copysign(1.0, x) + (y - y), 4.0 * sin(y) * cos(y) * decay * decay);
  }
  double t = tan(y), widening = 1.0 + t * t, s = sinh(x), rho = sqrt(1.0 + s * s);
  double whole = 1.0 + widening * s * s;
  return Wide(widening * rho * s / whole, t / whole);
}
__device__ Wide sin_of(Wide z) { return over_i(sinh_of(times_i(z))); }
__device__ Wide cos_of(Wide z) { return cosh_of(times_i(z)); }
__device__ Wide tan_of(Wide z) { return over_i(tanh_of(times_i(z))); }

// The inverse functions are Kahan's, too; of numbers whose products overflow, what they tend to.
__device__ __forceinline__ bool is_far(Wide z) { return fabs(z.re) > 1e300 || fabs(z.im) > 1e300; }
__device__ double log_twice(Wide z) { return log_size(z) + 0.69314718055994531; }

__device__ Wide asin_of(Wide z) {
  if (z.re == 0.0) return Wide(z.re, asinh(z.im));
  if (is_far(z)) return Wide(atan2(z.re, fabs(z.im)), copysign(log_twice(z), z.im));
  Wide a = sqrt_of(Wide(1.0 - z.re, -z.im)), b = sqrt_of(Wide(1.0 + z.re, z.im));
  return Wide(atan2(z.re, a.re * b.re - a.im * b.im), asinh(a.re * b.im - a.im * b.re));
}
__device__ Wide acos_of(Wide z) {
  if (z.re == 0.0) return Wide(1.5707963267948966, -asinh(z.im));
  if (is_far(z)) return Wide(atan2(fabs(z.im), z.re), copysign(log_twice(z), -z.im));
  Wide a = sqrt_of(Wide(1.0 - z.re, -z.im)), b = sqrt_of(Wide(1.0 + z.re, z.im));
  return Wide(2.0 * atan2(a.re, b.re), asinh(b.re * a.im - b.im * a.re));
}
__device__ Wide acosh_of(Wide z) {
  if (z.re == 0.0) return Wide(asinh(fabs(z.im)), copysign(1.5707963267948966, z.im));
  if (is_far(z)) return Wide(log_twice(z), atan2(z.im, z.re));
  Wide a = sqrt_of(Wide(z.re - 1.0, z.im)), b = sqrt_of(Wide(z.re + 1.0, z.im));
  return Wide(asinh(a.re * b.re + a.im * b.im), 2.0 * atan2(a.im, b.re));
}
__device__ Wide atanh_of(Wide z) {
  double x = fabs(z.re), y = z.im, size = hypot(x, y);
  if (x == 0.0) return Wide(z.re, atan(y));
  if (size > 1e150) {
    double tail = isinf(size) ? 0.0 : x / size / size;
    return Wide(copysign(tail, z.re), y != y ? y : copysign(1.5707963267948966, y));
  }
  double angle = 0.5 * atan2(2.0 * y, (1.0 - x) * (1.0 + x) - y * y);
  // Where the square of y is too small to be held.
  if (x == 1.0 && fabs(y) < 1e-150)
    return Wide(copysign(0.5 * (0.69314718055994531 - log(fabs(y))), z.re), angle);
  double gap = (1.0 - x) * (1.0 - x) + y * y;
  return Wide(copysign(0.25 * log1p(4.0 * x / gap), z.re), angle);
}
__device__ Wide asinh_of(Wide z) { return over_i(asin_of(times_i(z))); }
__device__ Wide atan_of(Wide z) { return over_i(atanh_of(times_i(z))); }

// Whole exponents by products, as of real numbers.
__device__ Wide pow_of(Wide x, Wide y) {
  if (y == Wide(0.0)) return Wide(1.0);
  if (x == Wide(0.0)) return y.re > 0.0 ? Wide(0.0) : Wide(x.re / x.re, x.im / x.im);
  if (y.im != 0.0 || y.re != floor(y.re) || fabs(y.re) > 100.0) return exp_of(y * log_of(x));
  int left = (int)fabs(y.re);
  for (; left % 2 == 0; left /= 2) x = x * x;
  Wide out = x;
  for (left /= 2; left; left /= 2) {
    x = x * x;
    if (left % 2) out = out * x;
  }
  return y.re < 0.0 ? Wide(1.0) / out : out;
}

#define FUNCTION(name)                                         \
  template <class R>                                           \
  __device__ __forceinline__ complex_t<R> name(complex_t<R> z) { \
    return complex_t<R>(name##_of(Wide(z)));                   \
  }
FUNCTION(exp)
FUNCTION(expm1)
FUNCTION(log)
FUNCTION(log1p)
FUNCTION(log2)
FUNCTION(log10)
FUNCTION(sqrt)
FUNCTION(sin)
FUNCTION(cos)
FUNCTION(tan)
FUNCTION(asin)
FUNCTION(acos)
FUNCTION(atan)
FUNCTION(sinh)
FUNCTION(cosh)
FUNCTION(tanh)
FUNCTION(asinh)
FUNCTION(acosh)
FUNCTION(atanh)
template <class R>
__device__ complex_t<R> pow(complex_t<R> x, complex_t<R> y) {
  return complex_t<R>(pow_of(Wide(x), Wide(y)));
}
