// isograd: what all kernels share. T is the type of the elements; A is the type to compute in.
struct half_t {
  unsigned short bits;
};
struct bfloat_t {
  unsigned short bits;
};

template <class To, class From>
__device__ __forceinline__ To reinterpret(From value) {
  union {
    From from;
    To to;
  } u;
  u.from = value;
  return u.to;
}

__device__ __forceinline__ float widen(half_t h) {
  unsigned sign = (h.bits & 0x8000u) << 16, rest = h.bits & 0x7FFFu;
  if (rest >= 0x7C00u) return reinterpret<float>(sign | 0x7F800000u | (rest & 0x3FFu) << 13);
  // The half's bits in a float's place, times 2**112, which also makes subnormal halves right.
  return reinterpret<float>(sign | reinterpret<unsigned>(reinterpret<float>(rest << 13) * 5.192296858534828e33f));
}

__device__ __forceinline__ float widen(bfloat_t b) {
  return reinterpret<float>((unsigned)b.bits << 16);
}

template <class V>
__device__ __forceinline__ V widen(V value) {
  return value;
}

__device__ __forceinline__ void narrow(half_t* out, float value) {
  unsigned bits = reinterpret<unsigned>(value), sign = bits >> 16 & 0x8000u;
  bits &= 0x7FFFFFFFu;
  if (bits > 0x7F800000u) {
    out->bits = (unsigned short)(sign | 0x7E00u);
  } else if (bits >= 0x477FF000u) {  // rounds to infinity
    out->bits = (unsigned short)(sign | 0x7C00u);
  } else if (bits < 0x38800000u) {  // subnormal: the addition rounds to multiples of 2**-24
    float shifted = reinterpret<float>(bits) + 0.5f;
    out->bits = (unsigned short)(sign | (reinterpret<unsigned>(shifted) - 0x3F000000u));
  } else {
    bits += 0xFFFu + (bits >> 13 & 1u);
    out->bits = (unsigned short)(sign | (bits >> 13) - 0x1C000u);
  }
}

__device__ __forceinline__ void narrow(bfloat_t* out, float value) {
  unsigned bits = reinterpret<unsigned>(value);
  if (value != value)
    out->bits = (unsigned short)(bits >> 16 & 0x8000u | 0x7FC0u);
  else
    out->bits = (unsigned short)((bits + 0x7FFFu + (bits >> 16 & 1u)) >> 16);
}

template <class V, class W>
__device__ __forceinline__ void narrow(V* out, W value) {
  *out = (V)value;
}

// Where element i of a C-ordered shape is in each of several arrays; strides count elements.
// Rank 0 says that all of them are contiguous.
struct Layout {
  long long rank;
  long long shape[25];
  long long strides[4][25];
};

template <int COUNT, class Index>
__device__ __forceinline__ void locate_as(const Layout& layout, long long position, long long* at) {
  Index rest = (Index)position;
  for (int k = 0; k < COUNT; ++k) at[k] = 0;
  for (int d = (int)layout.rank - 1; d > 0; --d) {
    Index size = (Index)layout.shape[d], next = rest / size;
    long long digit = (long long)(rest - next * size);
    for (int k = 0; k < COUNT; ++k) at[k] += digit * layout.strides[k][d];
    rest = next;
  }
  for (int k = 0; k < COUNT; ++k) at[k] += (long long)rest * layout.strides[k][0];
}

template <int COUNT>
__device__ __forceinline__ void locate(const Layout& layout, long long position, long long* at) {
  if (layout.rank == 0)
    for (int k = 0; k < COUNT; ++k) at[k] = position;
  else if (position < 4294967296LL)
    locate_as<COUNT, unsigned>(layout, position, at);
  else
    locate_as<COUNT, unsigned long long>(layout, position, at);
}

// Windows over the last `rank` axes: their lengths, how many windows lie along each, and the
// windows' lengths and steps; `padding` counts the elements before the first.
struct Windows {
  long long rank;
  long long size[8], count[8], kernel[8], stride[8], dilation[8], padding[8];
};

__device__ __forceinline__ long long first_index() {
  return (long long)blockIdx.x * blockDim.x + threadIdx.x;
}

__device__ __forceinline__ long long index_step() { return (long long)gridDim.x * blockDim.x; }
