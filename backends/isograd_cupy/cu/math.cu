// Arithmetic that CUDA lacks, or defines otherwise than isograd does.
template <class V>
__device__ __forceinline__ V larger(V a, V b) {
  return a != a ? a : b != b ? b : a < b ? b : a;
}

template <class V>
__device__ __forceinline__ V smaller(V a, V b) {
  return a != a ? a : b != b ? b : b < a ? b : a;
}

template <class V>
__device__ __forceinline__ V scaled(V x, double factor) {
  return x * V(factor);
}

template <class V>
__device__ __forceinline__ V sign_of(V x) {
  return x != x ? x : (V)((x > V(0)) - (x < V(0)));
}

template <class V>
__device__ V integer_floor_divide(V x, V y) {
  if (y == V(0)) return V(0);
  if (V(-1) < V(0) && y == V(-1)) return V(0) - x;
  V quotient = x / y, rest = x - quotient * y;
  return rest != V(0) && (rest < V(0)) != (y < V(0)) ? quotient - V(1) : quotient;
}

template <class V>
__device__ V integer_remainder(V x, V y) {
  if (y == V(0) || (V(-1) < V(0) && y == V(-1))) return V(0);
  V rest = x % y;
  return rest != V(0) && (rest < V(0)) != (y < V(0)) ? rest + y : rest;
}

template <class V>
__device__ V integer_power(V x, V y) {
  V out = V(1);
  if (y < V(0)) return x == V(1) ? V(1) : x == V(-1) ? (y % V(2) != V(0) ? V(-1) : V(1)) : V(0);
  for (unsigned long long e = (unsigned long long)y; e; e >>= 1) {
    if (e & 1) out = (V)(out * x);
    x = (V)(x * x);
  }
  return out;
}

template <class V>
__device__ V float_remainder(V x, V y) {
  V rest = fmod(x, y);
  if (y == V(0)) return rest;
  if (rest == V(0)) return copysign(V(0), y);
  return (y < V(0)) != (rest < V(0)) ? rest + y : rest;
}

template <class V>
__device__ V float_floor_divide(V x, V y) {
  if (y == V(0)) return x / y;
  V rest = fmod(x, y), quotient = (x - rest) / y;
  if (rest != V(0) && (y < V(0)) != (rest < V(0))) quotient -= V(1);
  if (quotient == V(0)) return copysign(V(0), x / y);
  V whole = floor(quotient);
  return quotient - whole > V(0.5) ? whole + V(1) : whole;
}

template <class V>
__device__ __forceinline__ V shift_left(V x, V y) {
  return y >= V(0) && (unsigned long long)y < 8 * sizeof(V) ? (V)(x << y) : V(0);
}

template <class V>
__device__ __forceinline__ V shift_right(V x, V y) {
  if (y >= V(0) && (unsigned long long)y < 8 * sizeof(V)) return (V)(x >> y);
  return x < V(0) ? V(-1) : V(0);
}

template <class V>
__device__ V log_add_exp(V x, V y) {
  if (x == y) return x + V(0.6931471805599453);
  V top = larger(x, y), gap = -fabs(x - y);
  return top + log1p(exp(gap));
}

// The next value of T after x towards y, by the order of the bits.
template <class V, class Bits>
__device__ V next_bits(V x, V y, float wide_x, float wide_y) {
  if (wide_x != wide_x) return x;
  if (wide_y != wide_y || wide_x == wide_y) return y;
  Bits bits = reinterpret<Bits>(x);
  const Bits sign = Bits(1) << (8 * sizeof(Bits) - 1);
  if (wide_x == 0.0f) return reinterpret<V>(Bits((wide_y < 0.0f ? sign : Bits(0)) | Bits(1)));
  bool outward = (wide_x < wide_y) == (wide_x > 0.0f);
  return reinterpret<V>(Bits(outward ? bits + 1 : bits - 1));
}
__device__ __forceinline__ double next_after(double x, double y) { return nextafter(x, y); }
__device__ __forceinline__ float next_after(float x, float y) {
  return next_bits<float, unsigned>(x, y, x, y);
}
__device__ __forceinline__ half_t next_after(half_t x, half_t y) {
  return next_bits<half_t, unsigned short>(x, y, widen(x), widen(y));
}
__device__ __forceinline__ bfloat_t next_after(bfloat_t x, bfloat_t y) {
  return next_bits<bfloat_t, unsigned short>(x, y, widen(x), widen(y));
}

// To an integer: towards zero, at most and at least what it holds, 0 for NaN.
template <class To>
__device__ To clamped(double x, double low, double high, To lowest, To highest) {
  return x != x ? To(0) : x <= low ? lowest : x >= high ? highest : (To)x;
}

template <class V>
__device__ __forceinline__ V sigmoid(V x) {
  V decay = exp(-fabs(x)), large = V(1) / (V(1) + decay);
  return x < V(0) ? decay * large : large;
}

// P(X < x) for a standard normal X; what rounding -x / sqrt(2) lost is put back to first order.
template <class V>
__device__ V normal_cdf(V x) {
  const double inverse = 0.70710678118654752440;
  V z = -x * V(inverse);
  V lost = fma(-x, V(inverse), -z) + -x * V(inverse - double(V(inverse)));
  V tail = V(0.5) * (erfc(z) - V(1.1283791670955126) * exp(-z * z) * lost);
  return fabs(x) < V(30) ? tail : x < V(0) ? V(0) : x != x ? x : V(1);
}

template <class V>
__device__ V gelu(V x) {
  return x * normal_cdf(x);
}

template <class V>
__device__ V gelu_slope(V x) {
  V inside = fabs(x) < V(40) ? x : V(40);
  return normal_cdf(x) + x * (V(0.3989422804014327) * exp(V(-0.5) * inside * inside));
}

template <class V>
__device__ __forceinline__ V gelu_argument(V x) {
  return V(2 * 0.7978845608028654) * (x + V(0.044715) * (x * x * x));
}

template <class V>
__device__ V gelu_tanh(V x) {
  return x * sigmoid(gelu_argument(x));
}

template <class V>
__device__ V gelu_tanh_slope(V x) {
  V inside = x < V(-100) ? V(-100) : x > V(100) ? V(100) : x, z = gelu_argument(inside);
  V slope = V(2 * 0.7978845608028654) * (V(1) + V(3 * 0.044715) * (inside * inside));
  return sigmoid(z) * (V(1) + x * (slope * sigmoid(-z)));
}

template <class V>
__device__ V softplus(V x, V beta, V threshold) {
  V z = x * beta;
  if (z > threshold) return x;
  return ((z > V(0) ? z : z == z ? V(0) : z) + log1p(exp(-fabs(z)))) / beta;
}
